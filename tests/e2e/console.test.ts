/** The page as a provider uses it, in a real browser on the whole system. `UPDATE_SCREENSHOTS=1` renews those in `docs/`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { until } from "../support/wait.ts";
import { findChromium, launchBrowser } from "./browser.ts";
import { startSystem, type System } from "./system.ts";

const FOLLOWERS = "1,000";
const START_TIMEOUT_MS = 180_000;
const TEST_TIMEOUT_MS = 60_000;

const chromium = findChromium();
if (chromium === undefined) console.log("not run here: the page in a browser (no Chromium found)");

describe.skipIf(chromium === undefined)("the console", () => {
  let system: System;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    system = await startSystem();
    browser = await launchBrowser(chromium ?? "");
    page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        complaints.push(message.text());
      }
    });
    page.on("pageerror", (error) => complaints.push(error.message));
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await system?.stop();
  }, TEST_TIMEOUT_MS);

  test(
    "a wrong password is refused in the edge's own words",
    async () => {
      await page.goto(system.url);
      await signIn(page, system.email, "not the password");
      await page.getByRole("alert").getByText("E-mail and password do not match.").waitFor();
      // A browser reports each answer of 400 and above by itself.
      expect(complaints.splice(0).filter((each) => !each.includes("401"))).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a double click sends one signal, which reaches every follower and settles",
    async () => {
      await signIn(page, system.email, system.password);
      await page.getByRole("button", { name: "10 s", exact: true }).click();
      await page.getByRole("button", { name: "Send CALL" }).dblclick();

      const placed = page.locator("[data-outcome=placed]");
      await until("all are placed", async () => (await read(placed)) === FOLLOWERS, 15_000);
      await page.getByText(`${FOLLOWERS} of ${FOLLOWERS} followers have an outcome`).waitFor();
      await page.locator(".fan-out .state", { hasText: "complete" }).waitFor();
      expect(await read(page.locator(".timing dd").first())).toMatch(/^[\d,]+ ms$/);

      const rows = page.locator("tr[data-signal]");
      const results = rows.first().locator(".results");
      await until(
        "all are settled",
        async () => (await rows.count()) > 0 && countSettled(await read(results)) === 1_000,
        30_000,
      );
      expect(await read(rows.first().locator(".net"))).toMatch(/^[+−]?\$[\d,]+\.\d\d$/);
      expect(await rows.count()).toBe(1);
      await screenshot(page, "docs/console-wide.png");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a reload keeps who is signed in and what was sent last",
    async () => {
      await page.reload();
      const placed = page.locator("[data-outcome=placed]");
      await until("all are shown as placed", async () => (await read(placed)) === FOLLOWERS);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "the page fits a width of 375 px and complains of nothing",
    async () => {
      await page.setViewportSize({ width: 375, height: 812 });
      await page.getByRole("heading", { name: "Recent signals" }).waitFor();
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(375);
      await screenshot(page, "docs/console-375.png");
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("heading", { name: "Sign in" }).waitFor();
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(375);
      expect(complaints).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});

async function signIn(page: Page, email: string, password: string): Promise<void> {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function read(locator: ReturnType<Page["locator"]>): Promise<string> {
  return (await locator.innerText()).trim();
}

/** `520 won 480 lost` → 1000. */
function countSettled(results: string): number {
  return [...results.matchAll(/([\d,]+) (?:won|lost|void)/g)]
    .map((each) => Number((each[1] ?? "").replaceAll(",", "")))
    .reduce((sum, each) => sum + each, 0);
}

async function screenshot(page: Page, path: string): Promise<void> {
  if (process.env["UPDATE_SCREENSHOTS"] !== "1") return;
  await page.screenshot({ path, fullPage: true, animations: "disabled" });
}
