/** The system's Chromium, without its background network traffic. */
import { chromium, type Browser } from "playwright-core";

/** The path of Chromium on this machine, if it is installed. */
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
