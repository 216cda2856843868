/**
 * Whether an error says that a store is away, or takes nothing for the moment.
 * Any other error is a bug. Libraries tell by name and code; of what they say only
 * the first word of a Redis' refusal is looked at.
 */

/** What a Redis, or a node of a cluster, refuses everything with until it is well again. */
const REDIS_REFUSALS =
  /^(?:LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|OOM|MISCONF|BUSY|NOREPLICAS) /;
const REDIS_AWAY = new Set(["MaxRetriesPerRequestError", "ClusterAllFailedError", "AbortError"]);
/** Errors that the cluster's client gives no name of their own. */
const REDIS_AWAY_MESSAGES = new Set(["Command timed out", "Connection is closed."]);
/** What MongoDB's driver says of how it was called, and not of the server. */
const MONGO_MISUSES = /^Mongo(?:API|Argument|InvalidArgument|Parse|Runtime|MissingCredentials)/;
const SQLITE_AWAY = /^SQLITE_(?:BUSY|LOCKED|FULL|IOERR|CANTOPEN|READONLY)/;

export function isStoreAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { name, message, code } = error as Error & { readonly code?: unknown };
  if (name === "ReplyError" || code === "ERR_REDIS_SERVER_ERROR") {
    return REDIS_REFUSALS.test(message);
  }
  if (name === "RedisError") return !/INVALID/.test(textOf(code));
  if (name === "SQLiteError") return SQLITE_AWAY.test(textOf(code));
  if (name.startsWith("Mongo")) return !MONGO_MISUSES.test(name);
  return REDIS_AWAY.has(name) || REDIS_AWAY_MESSAGES.has(message);
}

function textOf(code: unknown): string {
  return typeof code === "string" ? code : "";
}
