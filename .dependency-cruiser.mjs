/**
 * Who may import whom: `domain ← redis ← edge`, `domain ← redis ← workers`, and
 * nothing else crosses. Types count as imports, except that the app may borrow
 * types from anywhere. Tests beside the code may also use `tests/support`.
 */
/** What nothing that ships may import: tests, and the benchmarks, which start the same real parts. */
const TESTS = "(\\.test\\.ts$|^(tests|bench)/|-contract\\.ts$|/conformance\\.ts$)";
const OURS = "^(domain|redis|edge|workers|app|local|bench|tests|scripts|deploy)/";

/** A folder whose files import nothing of ours but these. */
function only(folder, allowed, comment, more = {}) {
  return {
    name: `${folder}-imports`,
    severity: "error",
    comment,
    from: { path: `^${folder}/`, pathNot: TESTS },
    to: { path: OURS, pathNot: `^(${[folder, ...allowed].join("|")})/`, ...more },
  };
}

/** A package that only one place, a folder or a file, knows. */
function onlyIn(place, packages, comment) {
  return {
    name: `only-in-${place.replaceAll(/[^a-z]+/g, "-")}`,
    severity: "error",
    comment,
    from: { pathNot: [`^${place}[/.]`, TESTS] },
    to: { path: `(^|/)node_modules/(${packages.join("|")})/` },
  };
}

export default {
  forbidden: [
    {
      name: "domain-is-pure",
      severity: "error",
      comment: "The vocabulary and the rules: no I/O, no packages, nothing of ours.",
      from: { path: "^domain/", pathNot: TESTS },
      to: { pathNot: "^domain/" },
    },
    {
      name: "redis-is-text",
      severity: "error",
      comment: "What edge and workers agree on: text and pure functions, no client, no package.",
      from: { path: "^redis/", pathNot: TESTS },
      to: { pathNot: "^(domain|redis)/" },
    },
    only("edge", ["domain", "redis"], "The edge runs where there is no Bun and no TCP."),
    only(
      "workers",
      ["domain", "redis"],
      "Workers share nothing with the edge but domain and redis.",
    ),
    only(
      "local",
      ["domain", "redis"],
      "One machine starts the parts as processes; it does not import them.",
    ),
    only("app", ["domain"], "The app takes the vocabulary, and types.", {
      dependencyTypesNot: ["type-only"],
    }),
    {
      name: "tests-are-not-imported",
      severity: "error",
      comment: "Nothing that ships imports what tests it.",
      from: { pathNot: TESTS },
      to: { path: TESTS },
    },
    {
      name: "tests-stay-in-their-folder",
      severity: "error",
      comment: "A test that crosses the house belongs in tests/.",
      from: { path: "^(domain|redis|edge|workers|app|local)/.*\\.test\\.ts$" },
      to: { path: OURS, pathNot: "^($1|domain|redis|tests/support)/" },
    },
    onlyIn("edge", ["@upstash"], "The connectionless client is the edge's alone."),
    onlyIn(
      "workers/(records/mongo|audit/mongo|desk/audit/mongo|runtime/mongo)",
      ["mongodb"],
      "Everything else knows the ports of records and audit.",
    ),
    onlyIn(
      "workers/(runtime/)?redis-cluster",
      ["ioredis"],
      "Everything else knows one interface of a Redis.",
    ),
    onlyIn("app", ["vue", "bootstrap"], "Only the app is a page."),
    {
      name: "no-cycles",
      severity: "error",
      comment: "Modules that need each other are one module, or want a third.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "resolvable",
      severity: "error",
      comment: "An import that leads nowhere.",
      from: {},
      to: { couldNotResolve: true, pathNot: "^(bun|bun:.+|cloudflare:.+)$" },
    },
    {
      name: "development-only",
      severity: "error",
      comment: "What ships may not need a package that is installed for development only.",
      from: { path: "^(domain|redis|edge|workers|app|local)/", pathNot: TESTS },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    doNotFollow: { path: "(^|/)node_modules/" },
    exclude: { path: "^((app/)?dist|\\.data|\\.cache|\\.wrangler)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      extensions: [".ts", ".mjs", ".js", ".vue", ".json", ".d.ts"],
    },
    builtInModules: { add: ["bun", "bun:test", "bun:sqlite", "cloudflare:workers"] },
  },
};
