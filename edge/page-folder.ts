/** The page's files from a folder, for the runtimes that have one. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { own } from "../domain/own.ts";
import type { PageFiles } from "./page.ts";

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  json: "application/json",
  png: "image/png",
  ico: "image/x-icon",
  woff2: "font/woff2",
  txt: "text/plain; charset=utf-8",
  webmanifest: "application/manifest+json",
};

export function pageFolder(folder: string): PageFiles {
  return async (path) => {
    const mediaType = own(MEDIA_TYPES, path.slice(path.lastIndexOf(".") + 1));
    // Plain names only: no way out of the folder, and no hidden files.
    if (mediaType === undefined || !/^(\/[\w-][\w.-]*)+$/.test(path)) return undefined;
    try {
      const bytes = await readFile(join(folder, path));
      return new Response(new Uint8Array(bytes), { headers: { "content-type": mediaType } });
    } catch {
      // No such file.
      return undefined;
    }
  };
}
