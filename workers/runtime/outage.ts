/**
 * Decides whether an error means that a store or a network does not answer, so that the same work
 * may succeed later, or that the work itself is at fault. Errors are distinguished by their names
 * and codes. Messages are read only if Redis gives nothing else, and are never logged: they contain
 * payloads.
 */

/** The first word of a Redis error reply for a condition that ends by itself, or by `desk:restore`. */
const REDIS_REPLIES =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|OOM|MISCONF|BUSY|NOREPLICAS|UNKILLABLE|NOSCRIPT|NOGROUP|MOVED|ASK|UNRESTORED|Connection|Command timed out)\b/;
const SYSTEM_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "EMFILE",
  "ENFILE",
  "ENOSPC",
  "EIO",
  "EROFS",
  "ConnectionRefused",
  "ConnectionClosed",
  "FailedToOpenSocket",
]);
const SQLITE_CODES = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|READONLY|NOMEM|PROTOCOL)/;
/**
 * MongoDB's errors that may be the fault of the written data; `connectMongo` separates outages from
 * them.
 */
const MONGO_REFUSALS =
  /^Mongo(BulkWrite|Server|InvalidArgument|API|Runtime|ClientBulkWriteExecution)Error$/;
/** Errors of a MongoDB's own state or settings, independent of the written data. */
const MONGO_STATE_CODES = new Set<unknown>([
  // Unauthorized, AuthenticationFailed.
  13, 18,
  // HostUnreachable, HostNotFound, NetworkTimeout, SocketException, ExceededTimeLimit, MaxTimeMSExpired.
  6,
  7, 89, 9001, 262, 50,
  // WriteConcernTimeout, UnsatisfiableWriteConcern: there is no majority.
  64, 100,
  // Not or no longer the primary, or about to end.
  91, 133, 189, 10107, 11600, 11602, 13435, 13436,
  // OutOfDiskSpace.
  14031,
]);
const NAMES = new Set([
  "AbortError",
  "TimeoutError",
  "MaxRetriesPerRequestError",
  "ClusterAllFailedError",
]);

/** Thrown by our own code if a required service does not answer. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof Unavailable || NAMES.has(error.name)) return true;
  const { code, errorLabels } = error as { code?: unknown; errorLabels?: unknown };
  if (/^(Mongo|Pool|WaitQueue)/.test(error.name)) {
    const isRetryable = Array.isArray(errorLabels) && errorLabels.includes("RetryableWriteError");
    return isRetryable || MONGO_STATE_CODES.has(code) || !MONGO_REFUSALS.test(error.name);
  }
  if (typeof code === "string") {
    if (code.startsWith("ERR_REDIS_CONNECTION") || code.startsWith("ERR_REDIS_AUTH")) return true;
    if (SYSTEM_CODES.has(code) || SQLITE_CODES.test(code)) return true;
  }
  return REDIS_REPLIES.test(error.message);
}
