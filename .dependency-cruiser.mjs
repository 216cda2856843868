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
      comment: "Terms and rules only: no I/O, no packages, no other folder of ours.",
      from: { path: "^domain/", pathNot: TESTS },
      to: { pathNot: "^domain/" },
    },
    {
      name: "domain-top-is-shared",
      severity: "error",
      comment: "Code that both products share imports neither of them.",
      from: { path: "^domain/[^/]+$", pathNot: TESTS },
      to: { path: "^domain/.+/" },
    },
    {
      name: "domain-products-are-shared",
      severity: "error",
      comment: "A product's terms belong to both the copier and the desk.",
      from: { path: "^domain/products/", pathNot: TESTS },
      to: { path: "^domain/.+/", pathNot: "^domain/products/" },
    },
    {
      name: "domain-copier-and-desk-are-apart",
      severity: "error",
      comment: "The copier and the desk share only products and the top of domain.",
      from: { path: "^domain/(copier|desk)/", pathNot: TESTS },
      to: { path: "^domain/.+/", pathNot: "^domain/($1|products)/" },
    },
    {
      name: "redis-is-text",
      severity: "error",
      comment: "Shared by edge and workers: texts and pure functions, no client, no package.",
      from: { path: "^redis/", pathNot: TESTS },
      to: { pathNot: "^(domain|redis)/" },
    },
    only("http", ["domain"], "The one way to serve an operation runs on every runtime."),
    {
      name: "http-runs-everywhere",
      severity: "error",
      comment: "The edge also runs without Bun and Node.",
      from: { path: "^(http|edge)/", pathNot: [TESTS, "^edge/(entry-[^/]+|page-folder)\\.ts$"] },
      to: { dependencyTypes: ["core"] },
    },
    only("edge", SHARED, "The edge also runs without Bun and TCP."),
    only("workers/runtime", SHARED, "The common parts of roles import no role and no store."),
    only("workers/records", RUNTIME, "The records import no process of a product."),
    only(
      "workers/venues",
      RUNTIME,
      "A broker and the copier share only the venue's wire types and client.",
    ),
    only(
      "workers/desk",
      [...RUNTIME, "workers/venues"],
      "The desk imports neither the copier nor the records.",
    ),
    only(
      "workers/copier",
      [...RUNTIME, "workers/records", "workers/venues"],
      "The copier uses the desk as a venue, and imports none of its internals.",
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
      comment: "The desk serves day traders and any copier; it imports products, not copies.",
      from: { path: "^(workers/(desk|venues)|edge/desk)/", pathNot: TESTS },
      to: { path: "^domain/copier/" },
    },
    {
      name: "copier-knows-no-desk-words",
      severity: "error",
      comment: "For the copier the desk is one broker among others.",
      from: { path: "^workers/(copier|venues|records)/", pathNot: TESTS },
      to: { path: "^domain/desk/" },
    },
    only("local", ["redis"], "local/ starts the parts as processes; it does not import them."),
    only("app", ["domain", "client"], "The pages import the domain's terms and the API's client."),
    only("client", ["domain"], "The client is installed by other people."),
    {
      name: "tests-are-not-imported",
      severity: "error",
      comment: "Shipped code imports no test code.",
      from: { pathNot: TESTS },
      to: { path: TESTS },
    },
    {
      name: "tests-stay-in-their-folder",
      severity: "error",
      comment: "A test of several folders belongs in tests/.",
      from: { path: "^(domain|redis|http|edge|workers|app|client|local)/.*\\.test\\.ts$" },
      to: { path: OURS, pathNot: "^($1|domain|redis|http|tests/support)/" },
    },
    onlyIn("edge", ["edge"], ["@upstash"], "Only the edge uses the client without connections."),
    onlyIn(
      "mongo",
      ["workers/runtime/mongo", "workers/records/mongo", "workers/desk/audit/mongo"],
      ["mongodb"],
      "All other code uses the ports of records and audit.",
    ),
    onlyIn(
      "redis-cluster",
      ["workers/runtime/redis-cluster"],
      ["ioredis"],
      "All other code uses one interface of a Redis.",
    ),
    onlyIn("app", ["app"], ["vue", "bootstrap"], "Only the app has pages."),
    {
      name: "no-circles",
      severity: "error",
      comment:
        "Two files that import each other should be one file, or share a third. Type imports count.",
      from: {},
      to: { circular: true },
    },
    {
      name: "resolvable",
      severity: "error",
      comment: "An import that cannot be resolved.",
      from: {},
      to: { couldNotResolve: true, pathNot: "^(bun|bun:.+|cloudflare:.+)$" },
    },
    {
      name: "development-only",
      severity: "error",
      comment: "Shipped code must not need a package that is installed only for development.",
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
