/** What a log may say of an error: its message may hold addresses, tokens or payloads. */
export function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as NodeJS.ErrnoException;
  // A code is a constant of the library; anything else under that name is not.
  return typeof code === "string" && /^[A-Z0-9_]{1,40}$/.test(code)
    ? `${error.name} ${code}`
    : error.name;
}
