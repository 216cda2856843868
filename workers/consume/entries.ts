/** Stream entries as Bun's client (RESP3) replies them. */
export interface Entry {
  readonly id: string;
  /** Empty where the entry was deleted but is still pending. */
  readonly fields: ReadonlyMap<string, string>;
}

type RawEntry = readonly [id: string, flat: readonly string[] | null];

/** `XREADGROUP`: `{stream: [[id, [field, value, …]], …]}`, or null when the wait ran out. */
export function parseRead(raw: unknown): Entry[] {
  if (raw === null || raw === undefined) return [];
  return Object.values(raw as Record<string, readonly RawEntry[]>).flatMap(parseEntries);
}

/** `XAUTOCLAIM`: `[cursor, entries, deleted ids]`. */
export function parseClaimed(raw: unknown): Entry[] {
  const [, entries] = raw as readonly [string, readonly RawEntry[]];
  return parseEntries(entries);
}

/** `XRANGE`: as the entries of one stream are within either of them. */
export function parseEntries(entries: readonly RawEntry[]): Entry[] {
  return entries.map(([id, flat]) => {
    const fields = new Map<string, string>();
    for (let index = 0; index + 1 < (flat?.length ?? 0); index += 2) {
      fields.set(flat?.[index] ?? "", flat?.[index + 1] ?? "");
    }
    return { id, fields };
  });
}
