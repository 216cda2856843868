/** `xmllint` of Debian's libxml2-utils: installed if it is missing and can be installed. */
export function findXmllint(): string | undefined {
  const found = Bun.which("xmllint");
  if (found !== null) return found;
  Bun.spawnSync(["apt-get", "install", "-y", "-q", "libxml2-utils"], {
    stdout: "ignore",
    stderr: "ignore",
  });
  return Bun.which("xmllint") ?? undefined;
}

/** The schema's errors for a document; empty if there are none. */
export async function findFaults(
  xmllint: string,
  schema: string,
  document: string,
): Promise<string> {
  const child = Bun.spawn([xmllint, "--noout", "--schema", schema, document], {
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(child.stderr).text();
  return (await child.exited) === 0 ? "" : said;
}
