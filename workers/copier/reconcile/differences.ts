/** The ways in which what was promised, told and booked can differ, each with a name of its own. */

export const DIFFERENCES = {
  ACCEPTANCE_LOST:
    "A signal left traces, but neither Redis nor the records know that it was accepted.",
  JOB_MISSING: "A shard of the accepted signal was never enqueued.",
  OUTCOME_MISSING: "A follower of the snapshot has no outcome.",
  OUTCOME_TWICE: "A follower has more than one final outcome.",
  OUTCOME_OF_NOBODY: "An outcome names a follower who is not in the snapshot.",
  OUTCOME_NOT_INTENDED: "An outcome names an order or a skip that its job never intended.",
  SNAPSHOT_DIFFERS: "The roster no longer tells who the followers of the snapshot were.",
  UNKNOWN_TOO_LONG: "An outcome has been unknown for too long.",
  PLACED_NOT_AT_BROKER: "An outcome says placed, and the broker's list does not have the order.",
  AT_BROKER_NOT_PLACED: "The broker's list has an order that no outcome calls placed.",
  ORDER_TWICE: "The broker's list has an order twice.",
  ORDER_LATE: "The broker opened an order after its deadline.",
  ORDER_DIFFERS: "The broker's order is not the one that the outcome tells of.",
  CLOSE_WAITING:
    "A close has copies without an outcome: a halt holds them, or their broker does not answer.",
  CLOSED_NOT_SOLD: "An outcome says closed, and by the broker's list that close did not sell it.",
  SOLD_NOT_CLOSED:
    "By the broker's list a close sold a position that no outcome of it calls closed.",
  STOP_DIFFERS:
    "A scope is not stopped alike in every partition and the records: the strictest holds until a person lifts it.",
  BROKER_SILENT: "The broker did not list its orders: nothing was compared with them.",
  SEQUENCE_GAP: "A number of the channel's log is missing: what was accepted under it is lost.",
  SEQUENCE_TWICE: "Two signals of a channel have the same number.",
  SEQUENCE_BEHIND: "Redis stands behind the records: it would number signals again.",
  LINK_MISSING: "A signal is not linked into its channel's chain.",
  LINK_BROKEN: "A link does not go on from the link before it.",
  LINK_WRONG: "A link's hash is not that of its signal.",
} as const;

export type DifferenceKind = keyof typeof DIFFERENCES;

export interface Difference {
  readonly kind: DifferenceKind;
  readonly channel?: string;
  readonly signal?: string;
  readonly subscription?: string;
  /** What stands where, for whoever looks into it; holds no secret. */
  readonly detail: string;
}
