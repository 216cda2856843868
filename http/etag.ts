/**
 * The version of a resource as its `ETag`. A reader that has the version gets 304
 * (`If-None-Match`). A change that names the version for which it was made (`If-Match`) is refused
 * once there is a newer one. Both headers may list several tags, or `*`.
 */
import { failure, success, type Failure, type Result } from "../domain/result.ts";

export function formatEtag(version: number): string {
  return `"${version}"`;
}

/** The version that a change requires. */
export interface Precondition {
  /** Why the change may not be made at this version; version 0 means that nothing exists yet. */
  refusal(version: number): Failure | undefined;
}

const TAGS = /^(?:\*|(?:W\/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W\/)?"[!#-~]*")*)$/;

export function readPrecondition(headers: Headers): Result<Precondition> {
  const [match, noneMatch] = [headers.get("if-match"), headers.get("if-none-match")];
  for (const [path, value] of [
    ["If-Match", match],
    ["If-None-Match", noneMatch],
  ] as const) {
    if (value === null || TAGS.test(value)) continue;
    return failure("HEADER_INVALID", [{ path, message: 'must be tags such as "7", or *' }]);
  }
  return success({
    refusal(version) {
      // A weak tag never allows a change: it says "about this version".
      const holds =
        (match === null || names(match, version, "strong")) &&
        (noneMatch === null || !names(noneMatch, version, "weak"));
      return holds ? undefined : failure("VERSION_STALE");
    },
  });
}

/** Whether the reader of a resource has this version already. */
export function isKnown(headers: Headers, version: number): boolean {
  const tags = headers.get("if-none-match");
  return tags !== null && names(tags, version, "weak");
}

function names(tags: string, version: number, comparison: "strong" | "weak"): boolean {
  if (tags.trim() === "*") return version > 0;
  return tags
    .split(",")
    .map((tag) => tag.trim())
    .some((tag) => (comparison === "weak" ? tag.replace(/^W\//, "") : tag) === formatEtag(version));
}
