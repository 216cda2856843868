import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pageFolder } from "./page-folder.ts";
import { servePage } from "./page.ts";

const folder = mkdtempSync(join(tmpdir(), "fanfare-page-"));
mkdirSync(join(folder, "public/assets"), { recursive: true });
writeFileSync(join(folder, "secret.txt"), "secret");
writeFileSync(join(folder, "public/index.html"), "the page");
writeFileSync(join(folder, "public/assets/main-1a2b.js"), "the code");
writeFileSync(join(folder, "public/.hidden.txt"), "hidden");
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const files = pageFolder(join(folder, "public"));
const serve = async (path: string, accepts = "text/html"): Promise<string | undefined> =>
  await (await servePage(files, path, accepts))?.text();

test("the page answers its own addresses, and only requests that accept a page", async () => {
  expect(await serve("/", "*/*")).toBe("the page");
  expect(await serve("/channels/demo")).toBe("the page");
  expect(await serve("/channels/demo", "application/json")).toBeUndefined();
  expect(await serve("/missing.js")).toBeUndefined();
});

test("no path leads out of the folder or to a hidden file", async () => {
  for (const path of ["/../secret.txt", "/..%2fsecret.txt", "//etc/hosts.txt", "/.hidden.txt"]) {
    expect(await serve(path)).toBeUndefined();
  }
});

test("a page allows nothing from other origins and is revalidated; files named by content are cached", async () => {
  const page = await servePage(files, "/", "*/*");
  expect(page?.headers.get("content-security-policy")).toContain("default-src 'self'");
  expect(page?.headers.get("cache-control")).toBe("no-cache");
  const code = await servePage(files, "/assets/main-1a2b.js", "*/*");
  expect(code?.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  expect(code?.headers.get("cache-control")).toContain("immutable");
});
