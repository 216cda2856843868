/**
 * The names of all differences between what was accepted, what was reported and
 * what a broker booked.
 */

export const DIFFERENCES = {
  ACCEPTANCE_LOST:
    "There is evidence of a signal, but neither Redis nor the records have its acceptance.",
  JOB_MISSING: "A shard of the accepted signal was never enqueued.",
  OUTCOME_MISSING: "A follower of the snapshot has no outcome.",
  OUTCOME_TWICE: "A follower has more than one final outcome.",
  OUTCOME_OF_NOBODY: "An outcome names a follower who is not in the snapshot.",
  OUTCOME_NOT_INTENDED:
    "An outcome names an order or a skip that is not in the intents of its job.",
  SNAPSHOT_DIFFERS: "The roster no longer shows the followers of the snapshot.",
  UNKNOWN_TOO_LONG: "An outcome has been unknown for too long.",
  PLACED_NOT_AT_BROKER: "An outcome says placed, and the broker's list does not have the order.",
  AT_BROKER_NOT_PLACED: "The broker's list has an order that no outcome calls placed.",
  ORDER_TWICE: "The broker's list has an order twice.",
  ORDER_LATE: "The broker opened an order after its deadline.",
  ORDER_DIFFERS: "The broker's order differs from the one in the outcome.",
  CLOSE_WAITING:
    "A close has copies without an outcome: a halt stops them, or their broker does not answer.",
  CLOSED_NOT_SOLD:
    "An outcome says closed, but by the broker's list that close did not sell the position.",
  SOLD_NOT_CLOSED:
    "By the broker's list a close sold a position that no outcome of it calls closed.",
  STOP_DIFFERS:
    "The partitions and the records disagree on a stop: the strictest applies until a person lifts it.",
  BROKER_SILENT: "The broker did not list its orders: nothing was compared with them.",
  SEQUENCE_GAP: "A number of the channel's log is missing: the signal with it is lost.",
  SEQUENCE_TWICE: "Two signals of a channel have the same number.",
  SEQUENCE_BEHIND: "Redis is behind the records: it would give numbers twice.",
  LINK_MISSING: "A signal is not linked into its channel's chain.",
  LINK_BROKEN: "A link does not continue from the link before it.",
  LINK_WRONG: "A link's hash does not match its signal.",
} as const;

export type DifferenceKind = keyof typeof DIFFERENCES;

export interface Difference {
  readonly kind: DifferenceKind;
  readonly channel?: string;
  readonly signal?: string;
  readonly subscription?: string;
  /** The differing values, for the person who investigates. Holds no secret. */
  readonly detail: string;
}
