/** What a driver throws where the records do not answer, or refuse. Anything else that is thrown is a bug. */
import { Unavailable } from "../runtime/outage.ts";

/** By name: only the drivers know their packages. */
export function isRecordsFailure(error: Error): boolean {
  return error instanceof Unavailable || /^(Mongo|SQLiteError$)/.test(error.name);
}
