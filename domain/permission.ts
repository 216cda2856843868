/**
 * What the bearer of a token may do with signals, the desk and the records. A token lists its
 * permissions in the claim `scope`, as in OAuth.
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
