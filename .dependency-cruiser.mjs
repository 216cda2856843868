/**
 * Who may import whom. Each folder lists what it may import; anything else of
 * ours is an error. Types count as imports. Tests may import more: see the
 * rules about tests. docs/ARCHITECTURE.md describes the folders.
 */

/** Not part of the product: nothing of the product may import these. */
const TESTS = "(\\.test\\.ts$|^(tests|bench|scripts)/|-contract\\.ts$|/conformance\\.ts$)";
const OURS = "^(domain|redis|http|edge|workers|app|client|local|deploy|bench|tests|scripts)/";

/** Files in `folder` may import from it and from `allowed` (folders, or files without their endings), and nothing else of ours. */
function only(folder, allowed, comment) {
  return {
    name: `${folder.replaceAll("/", "-")}-imports`,
    severity: "error",
    comment,
    from: { path: `^${folder}/`, pathNot: TESTS },
    to: { path: OURS, pathNot: `^(${[folder, ...allowed].join("|")})[/.]` },
  };
}

/** Only `places` (folders or files, without their endings) may import these packages. */
function onlyIn(name, places, packages, comment) {
  return {
    name: `only-in-${name}`,
    severity: "error",
    comment,
    from: { pathNot: [`^(${places.join("|")})[/.]`, TESTS] },
    to: { path: `(^|/)node_modules/(${packages.join("|")})/` },
  };
}

const SHARED = ["domain", "redis", "http"];
const RUNTIME = [...SHARED, "workers/runtime"];

export default {
  forbidden: [
    {
      name: "domain-is-pure",
      severity: "error",
      comment: "The words and the rules: no I/O, no packages, nothing else of ours.",
      from: { path: "^domain/", pathNot: TESTS },
      to: { pathNot: "^domain/" },
    },
    {
      name: "domain-top-is-shared",
      severity: "error",
      comment: "What both products share knows neither of them.",
      from: { path: "^domain/[^/]+$", pathNot: TESTS },
      to: { path: "^domain/.+/" },
    },
    {
      name: "domain-products-are-shared",
      severity: "error",
      comment: "A product's terms are words of both the copier and the desk.",
      from: { path: "^domain/products/", pathNot: TESTS },
      to: { path: "^domain/.+/", pathNot: "^domain/products/" },
    },
    {
      name: "domain-copier-and-desk-are-apart",
      severity: "error",
      comment: "The copier and the desk share products and the top of domain, and nothing else.",
      from: { path: "^domain/(copier|desk)/", pathNot: TESTS },
      to: { path: "^domain/.+/", pathNot: "^domain/($1|products)/" },
    },
    {
      name: "redis-is-text",
      severity: "error",
      comment: "What edge and workers agree on: text and pure functions, no client, no package.",
      from: { path: "^redis/", pathNot: TESTS },
      to: { pathNot: "^(domain|redis)/" },
    },
    only("http", ["domain"], "One way to serve an operation, on every runtime."),
    {
      name: "http-runs-everywhere",
      severity: "error",
      comment: "The edge runs where there is no Bun and no Node.",
      from: { path: "^(http|edge)/", pathNot: [TESTS, "^edge/(entry-[^/]+|page-folder)\\.ts$"] },
      to: { dependencyTypes: ["core"] },
    },
    only("edge", SHARED, "The edge runs where there is no Bun and no TCP."),
    only("workers/runtime", SHARED, "The common parts of roles import no role and no store."),
    only("workers/records", RUNTIME, "The records know no product's process."),
    only(
      "workers/venues",
      RUNTIME,
      "A venue's wire types and client are all that a broker and its copier share.",
    ),
    only(
      "workers/desk",
      [...RUNTIME, "workers/venues"],
      "The desk knows neither the copier nor the records.",
    ),
    only(
      "workers/copier",
      [...RUNTIME, "workers/records", "workers/venues"],
      "The copier knows the desk as a venue, and nothing of its insides.",
    ),
    only(
      "workers/api",
      [...RUNTIME, "workers/records", "workers/venues", "workers/desk", "workers/copier"],
      "The records API may import both products.",
    ),
    only(
      "workers/commands",
      [
        ...RUNTIME,
        "workers/records",
        "workers/venues",
        "workers/desk",
        "workers/copier",
        "workers/api",
        "workers/settings",
      ],
      "Commands may use every part, and no part uses a command.",
    ),
    {
      name: "roles-are-started-not-imported",
      severity: "error",
      comment: "A role is a process: code that two roles need is in its own file.",
      // Tests start them as processes, too: tests/support/role.ts.
      from: { path: "^(.+)/", pathNot: "^workers/main\\.ts$" },
      to: { path: "^workers/.+/role\\.ts$", pathNot: "^(?:$1|workers/runtime)/role\\.ts$" },
    },
    {
      name: "desk-knows-no-copier-words",
      severity: "error",
      comment: "The desk serves day traders and any copier; it knows products, not copies.",
      from: { path: "^(workers/(desk|venues)|edge/desk)/", pathNot: TESTS },
      to: { path: "^domain/copier/" },
    },
    {
      name: "copier-knows-no-desk-words",
      severity: "error",
      comment: "The copier knows the desk as one broker among others.",
      from: { path: "^workers/(copier|venues|records)/", pathNot: TESTS },
      to: { path: "^domain/desk/" },
    },
    only("local", ["redis"], "One machine starts the parts as processes; it does not import them."),
    only("app", ["domain", "client"], "The pages know the words and the API's client."),
    only("client", ["domain"], "The client is what others install."),
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
      from: { path: "^(domain|redis|http|edge|workers|app|client|local)/.*\\.test\\.ts$" },
      to: { path: OURS, pathNot: "^($1|domain|redis|http|tests/support)/" },
    },
    onlyIn("edge", ["edge"], ["@upstash"], "The connectionless client is the edge's alone."),
    onlyIn(
      "mongo",
      ["workers/runtime/mongo", "workers/records/mongo", "workers/desk/audit/mongo"],
      ["mongodb"],
      "Everything else knows the ports of records and audit.",
    ),
    onlyIn(
      "redis-cluster",
      ["workers/runtime/redis-cluster"],
      ["ioredis"],
      "Everything else knows one interface of a Redis.",
    ),
    onlyIn("app", ["app"], ["vue", "bootstrap"], "Only the app is a page."),
    {
      name: "no-circles",
      severity: "error",
      comment: "Files that need each other are one file, or want a third. Types count.",
      from: {},
      to: { circular: true },
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
      from: { path: "^(domain|redis|http|edge|workers|app|client|local)/", pathNot: TESTS },
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
