/** What the bearer of a token may do: the signals and the desk at the edge, the records at their API. */

export const SCOPES = [
  "signals:write",
  "signals:read",
  "records:read",
  "records:write",
  "desk:trade",
  "desk:admin",
] as const;

export type Scope = (typeof SCOPES)[number];
