/** What a person may send to a channel. An absent field sets no limit. */
export interface Grant {
  readonly symbols?: readonly string[];
  readonly maxStakeCents?: number;
  /**
   * Minutes of the UTC day, from inclusive, to exclusive; if `from` is after `to`, the hours run
   * over midnight.
   */
  readonly hours?: { readonly fromMinute: number; readonly toMinute: number };
}
