/** What a person may send to a channel. Absent limits do not limit. */
export interface Grant {
  readonly symbols?: readonly string[];
  readonly maxStakeCents?: number;
  /** Minutes of the UTC day, from inclusive, to exclusive; `from` after `to` runs over midnight. */
  readonly hours?: { readonly fromMinute: number; readonly toMinute: number };
}
