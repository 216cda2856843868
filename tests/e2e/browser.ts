/** The system's Chromium, driven without its talk to the outside. */
import { chromium, type Browser } from "playwright-core";

/** Where Chromium stands on this machine, if it does. */
export function findChromium(): string | undefined {
  return (
    process.env["CHROMIUM"] ?? Bun.which("chromium") ?? Bun.which("google-chrome") ?? undefined
  );
}

export function launchBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
