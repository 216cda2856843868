/**
 * Shipped code never finds an inherited property by looking up a name.
 *
 * `record[name]` with any text as name also finds `constructor`, `toString` or `__proto__`, and
 * `name in record` is true for them. So a name that is not one of a fixed list of words is looked
 * up by `own()`, `Object.hasOwn` or in a `Map`. The types decide: numbers, and words of a union
 * that the types know, are allowed; everything else is reported, guarded or not. A word that was
 * cast to such a union without a check is not found, nor is a lookup in the template of a `.vue`
 * file.
 */
import { resolve } from "node:path";
import { expect, test } from "bun:test";
import ts from "typescript";

/** The one place with such a lookup on purpose: the function that checks it first. */
const HOME_OF_OWN = "domain/own.ts";
const SHIPS = /^(domain|redis|http|edge|workers|app\/src|local|scripts)\//;

test("no name is looked up in an object by an index, nor by `in`", () => {
  const [ours, pages] = ["tsconfig.json", "app/tsconfig.json"].map(readConfig);
  const modules = { ...ours, allowJs: true, checkJs: true };
  const scripts = scriptsOfPages();
  const files = [...new Bun.Glob("**/*.{ts,mjs}").scanSync({ cwd: ".", onlyFiles: true })].filter(
    (path) => SHIPS.test(path) && !path.endsWith(".test.ts") && !path.includes("node_modules/"),
  );
  expect(files).toContain(HOME_OF_OWN);
  expect(scripts.size).toBeGreaterThan(10);
  const found = [
    ...lookups(
      modules,
      files.filter((path) => !path.startsWith("app/")),
    ),
    ...lookups(
      pages!,
      [...files.filter((path) => path.startsWith("app/")), ...scripts.keys()],
      scripts,
    ),
  ];
  expect(found).toEqual([`${HOME_OF_OWN}: record[name]`]);
}, 120_000);

test("each form of such a lookup is found, and safe ones are not", () => {
  const source = `
    type Brand = string & { readonly brand: "person" };
    type Word = "a" | "b";
    declare const record: Record<string, number>;
    declare const words: Record<Word, number>;
    declare const list: readonly string[];
    declare const person: Brand, name: string, word: Word, part: \`x\${string}\`, at: number, any: any;
    record[name]; record[person]; record?.[part]; words[any]; record[any];
    record[name] = 1;
    name in record; part in record;
    const { [name]: taken } = record;
    function generic<K extends string>(key: K) { return record[key]; }
    record["a"]; record.a; words[word]; list[at]; "a" in record;
    const { a, ["b"]: b } = record;
    function known<K extends keyof typeof words>(key: K) { return words[key]; }
  `;
  const config = readConfig("tsconfig.json");
  const found = lookups(config, ["lookups.ts"], new Map([["lookups.ts", source]]));
  expect(found.map((each) => each.replace("lookups.ts: ", ""))).toEqual([
    "record[name]",
    "record[person]",
    "record?.[part]",
    "words[any]",
    "record[any]",
    "record[name]",
    "name in record",
    "part in record",
    "[name]",
    "record[key]",
  ]);
}, 120_000);

function readConfig(path: string): ts.CompilerOptions {
  const { config } = ts.readConfigFile(path, (name) => ts.sys.readFile(name));
  const folder = resolve(path, "..");
  return ts.parseJsonConfigFileContent(config, ts.sys, folder).options;
}

/** The scripts of the pages, each as a module beside its page. */
function scriptsOfPages(): Map<string, string> {
  const scripts = new Map<string, string>();
  for (const path of new Bun.Glob("app/src/**/*.vue").scanSync(".")) {
    const page = ts.sys.readFile(path) ?? "";
    const [, script = ""] = /<script setup lang="ts">\n([\s\S]*?)<\/script>/.exec(page) ?? [];
    scripts.set(`${path}.ts`, script);
  }
  return scripts;
}

/** `file: expression` of each lookup in `files`; `virtual` are files that are not on disk. */
function lookups(
  options: ts.CompilerOptions,
  files: readonly string[],
  virtual: ReadonlyMap<string, string> = new Map(),
): string[] {
  const texts = new Map([...virtual].map(([path, text]) => [resolve(path), text]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path) ?? readFile(path);
  const program = ts.createProgram(
    files.map((path) => resolve(path)),
    options,
    host,
  );
  const checker = program.getTypeChecker();
  return files.flatMap((path) => {
    const file = program.getSourceFile(resolve(path));
    if (!file) throw new Error(`${path} is not in the program`);
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      const name = nameIn(node);
      if (name && isOpen(checker, checker.getTypeAtLocation(name))) {
        found.push(`${path}: ${node.getText().replaceAll(/\s+/g, " ")}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
    return found;
  });
}

/** The expression that names a property, if a node looks one up by an expression. */
function nameIn(node: ts.Node): ts.Expression | undefined {
  if (ts.isElementAccessExpression(node)) return node.argumentExpression;
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.InKeyword) {
    return node.left;
  }
  const destructured = ts.isComputedPropertyName(node) && ts.isBindingElement(node.parent);
  return destructured ? node.expression : undefined;
}

/** Whether a name may be any text: not a number, nor one of the words that its type lists. */
function isOpen(checker: ts.TypeChecker, type: ts.Type): boolean {
  const known = checker.getBaseConstraintOfType(type) ?? type;
  if (known.isUnion()) return known.types.some((each) => isOpen(checker, each));
  const { NumberLike, ESSymbolLike, StringLiteral, Never } = ts.TypeFlags;
  return (known.flags & (NumberLike | ESSymbolLike | StringLiteral | Never)) === 0;
}
