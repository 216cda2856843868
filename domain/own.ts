/**
 * Looks a name up in an object. `record[name]` alone also finds what every object
 * inherits: a person called `constructor` would hold a grant on every channel.
 * `tests/house/lookups.test.ts` refuses that spelling everywhere else.
 */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
