/**
 * `bun scripts/lockfile.ts` completes package-lock.json after an install.
 *
 * npm omits an optional dependency for another platform if it could not look it up, and `npm ci`
 * then refuses the lockfile on every machine. The platform of such a package is in its name, and
 * its version is in the package that depends on it. An entry with these two is enough for npm to
 * skip it here and to install it there.
 */
interface Entry {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface Lockfile {
  packages: Record<string, Entry>;
}

interface Omission {
  readonly name: string;
  readonly version: string;
  readonly dev: boolean;
}

const PATH = "package-lock.json";
const PLATFORM =
  /[-/](darwin|linux|win32|windows|android|freebsd|openharmony)-(arm64|arm|x64|64|ia32|ppc64|riscv64|s390x)(-[a-z]+)?$/;

/** The optional dependencies that the lockfile names but does not contain. */
export function findOmissions({ packages }: Lockfile): Omission[] {
  return Object.entries(packages).flatMap(([path, { dev = false, optionalDependencies }]) =>
    Object.entries(optionalDependencies ?? {})
      .filter(([name]) => !holds(packages, path, name))
      .map(([name, version]) => ({ name, version, dev })),
  );
}

/** Finds a package as Node does: in the folder of the dependent package, or in one further up. */
function holds(packages: Lockfile["packages"], from: string, name: string): boolean {
  let folder = from;
  for (;;) {
    const path = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
    if (Object.hasOwn(packages, path)) return true;
    if (folder === "") return false;
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules/") - 1));
  }
}

function createEntry({ name, version, dev }: Omission): Entry {
  const [, os = "", cpu = "", abi = ""] = PLATFORM.exec(name) ?? [];
  if (os === "" || !/^\d/.test(version)) throw new Error(`${name} names no known platform`);
  const libc = abi.includes("musl") ? ["musl"] : ["glibc"];
  const entry = {
    version,
    cpu: [cpu === "64" ? "x64" : cpu],
    ...(dev ? { dev } : {}),
    ...(os === "linux" && /musl|gnu|glibc/.test(abi) ? { libc } : {}),
    optional: true,
    os: [os === "windows" ? "win32" : os],
  };
  return entry;
}

if (import.meta.main) {
  const lockfile = (await Bun.file(PATH).json()) as Lockfile;
  const omissions = findOmissions(lockfile);
  const packages: [path: string, entry: Entry][] = [
    ...Object.entries(lockfile.packages),
    ...omissions.map((each): [string, Entry] => [`node_modules/${each.name}`, createEntry(each)]),
  ];
  lockfile.packages = Object.fromEntries(packages.toSorted(([a], [b]) => a.localeCompare(b, "en")));
  await Bun.write(PATH, `${JSON.stringify(lockfile, undefined, 2)}\n`);
  console.log(`${omissions.length} entries added to ${PATH}`);
}
