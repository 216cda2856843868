/**
 * Recognises the errors that a driver throws when the records do not answer, or refuse. Any other
 * error is a bug.
 */
import { Unavailable } from "../runtime/outage.ts";

/** By name: only the drivers know their packages. */
export function isRecordsFailure(error: Error): boolean {
  return error instanceof Unavailable || /^(Mongo|SQLiteError$)/.test(error.name);
}
