/** The page's files, and the headers that every page is served with. */

/** Answers a file of the page, or undefined if there is none. */
export type PageFiles = (path: string) => Promise<Response | undefined>;

/** Nothing from other origins, nothing inline except style attributes, and no framing. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

/** A path without a file is one of the page's own addresses, so the page itself answers it. */
export async function servePage(
  files: PageFiles,
  path: string,
  accepts: string,
): Promise<Response | undefined> {
  const isAddress = accepts.includes("text/html") && !/\.[^/]*$/.test(path);
  const found =
    (path === "/" ? undefined : await files(path)) ??
    (isAddress || path === "/" ? await files("/index.html") : undefined);
  if (!found) return undefined;
  const response = new Response(found.body, found);
  // Vite names these by their content; the page that names them must be revalidated each time.
  const kept = path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  response.headers.set("cache-control", kept);
  response.headers.set("content-security-policy", CONTENT_SECURITY_POLICY);
  response.headers.set("permissions-policy", "camera=(), geolocation=(), microphone=()");
  response.headers.set("cross-origin-opener-policy", "same-origin");
  return response;
}
