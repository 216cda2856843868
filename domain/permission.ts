/**
 * What the bearer of a token may do: the signals and the desk at the edge, the records
 * at their API. A token lists its permissions in the claim `scope`, as OAuth has it.
 */
export const PERMISSIONS = [
  "signals:write",
  "signals:read",
  "records:read",
  "records:write",
  "records:admin",
  "desk:trade",
  "desk:admin",
] as const;

export type Permission = (typeof PERMISSIONS)[number];
