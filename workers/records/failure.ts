/** What a driver throws where the records do not answer, or refuse. Anything else that is thrown is a bug. */

/** No answer came within a call's limit. */
export class RecordsTimeout extends Error {
  override readonly name = "RecordsTimeout";
}

/** By name: only the drivers know their packages. */
export function isRecordsFailure(error: Error): boolean {
  return error instanceof RecordsTimeout || /^(Mongo|SQLiteError$)/.test(error.name);
}
