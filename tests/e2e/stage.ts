/** The whole system, and a browser page whose warnings and errors are noted. */
import type { Browser, Page } from "playwright-core";
import { need } from "../support/needs.ts";
import { findChromium, launchBrowser } from "./browser.ts";
import { startSystem, type Person, type System } from "./system.ts";

export const START_TIMEOUT_MS = 180_000;
export const TEST_TIMEOUT_MS = 60_000;

const chromium = findChromium();
export const hasBrowser = need("Chromium", chromium !== undefined, "not installed");

export interface Stage {
  readonly system: System;
  readonly page: Page;
  /** Warnings and errors of the page's console, and uncaught errors. */
  readonly complaints: string[];
  /** A page with its own session. */
  open(): Promise<{ readonly page: Page; readonly complaints: string[] }>;
  close(): Promise<void>;
}

export async function openStage(settings: Record<string, string> = {}): Promise<Stage> {
  const system = await startSystem(settings);
  let browser: Browser | undefined;
  async function close(): Promise<void> {
    await browser?.close();
    await system.stop();
  }
  try {
    browser = await launchBrowser(chromium ?? "");
    const open = createOpener(browser);
    return { system, open, ...(await open()), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function createOpener(browser: Browser): Stage["open"] {
  return async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        complaints.push(message.text());
      }
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    return { page, complaints };
  };
}

export async function signIn(page: Page, { email, password }: Person): Promise<void> {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Renews a screenshot in `docs/` if `UPDATE_SCREENSHOTS` is 1. */
export async function screenshot(page: Page, path: string): Promise<void> {
  if (process.env["UPDATE_SCREENSHOTS"] !== "1") return;
  await page.screenshot({ path, fullPage: true, animations: "disabled" });
}
