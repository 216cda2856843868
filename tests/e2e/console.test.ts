/**
 * The page as a provider uses it, in a real browser on the whole system. `UPDATE_SCREENSHOTS=1`
 * renews the screenshots in `docs/`.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { until } from "../support/wait.ts";
import {
  hasBrowser,
  openStage,
  screenshot,
  signIn,
  START_TIMEOUT_MS,
  TEST_TIMEOUT_MS,
  type Stage,
} from "./stage.ts";
import type { System } from "./system.ts";

const FOLLOWERS = "1,000";
/** Of all tests in this file together. */
const SENT = 3;

describe.skipIf(!hasBrowser)("the console", () => {
  let stage: Stage;
  let system: System;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    stage = await openStage();
    ({ system, page, complaints } = stage);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage?.close();
  }, TEST_TIMEOUT_MS);

  test(
    "a wrong password is refused with the edge's own sentence",
    async () => {
      await page.goto(system.url);
      await signIn(page, { ...system, password: "not the password" });
      await page.getByRole("alert").getByText("E-mail and password do not match.").waitFor();
      // A browser reports each answer of 400 and above by itself.
      expect(complaints.splice(0).filter((each) => !each.includes("401"))).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a double click sends one signal, which reaches every follower",
    async () => {
      await signIn(page, system);
      await page.getByRole("button", { name: "10 s", exact: true }).click();
      // As slowly as a person: the answer to the first click has come before the second.
      await page.getByRole("button", { name: "Send CALL" }).dblclick({ delay: 60 });
      await untilComplete(page, "CALL");
      expect(await read(page.locator(".timing dd").first())).toMatch(/^[\d,]+ ms$/);
      expect(await page.evaluate<string>("getSelection().toString()")).toBe("");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "if the answer was lost, trying again after a reload finds the same signal",
    async () => {
      await page.route("**/v1/signals", async (route) => {
        await route.fetch();
        await route.abort();
      });
      await page.getByRole("button", { name: "10 s", exact: true }).click();
      await page.getByRole("button", { name: "Send CALL" }).click();
      await page.getByText("may have been accepted, or not").waitFor();
      await page.unroute("**/v1/signals");
      await page.reload();
      await page.getByRole("button", { name: "Try again" }).click();
      await page.getByRole("button", { name: "Send CALL" }).waitFor();
      await page.getByText("#2, accepted").waitFor();
      expect(complaints.splice(0).filter((each) => !each.includes("ERR_FAILED"))).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a sent signal is shown with its results once it has settled",
    async () => {
      await page.getByLabel("Symbol").selectOption("GBP/USD");
      await page.getByRole("button", { name: "10 s", exact: true }).click();
      await page.getByText("PUT", { exact: true }).first().click();
      await page.getByLabel("Stake").press("Enter");
      await untilComplete(page, "PUT");

      const rows = page.locator("tr[data-signal]");
      await until(
        "all have settled",
        async () => {
          const results = await rows.locator(".results").allInnerTexts();
          return results.length === SENT && results.every((each) => countSettled(each) === 1_000);
        },
        30_000,
      );
      expect(await rows.count()).toBe(SENT);
      expect(await read(rows.first().locator(".net"))).toMatch(/^[+−]?\$[\d,]+\.\d\d$/);
      await screenshot(page, "docs/console-wide.png");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a reload keeps the signed-in person and the last signal",
    async () => {
      await page.reload();
      const placed = page.locator("[data-outcome=placed]");
      await until("all are shown as placed", async () => (await read(placed)) === FOLLOWERS);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "open positions can be closed, and are shown as sold",
    async () => {
      await page.getByRole("button", { name: "5 min", exact: true }).click();
      await page.getByRole("button", { name: "Send CALL" }).click();
      await untilComplete(page, "CALL");
      const row = page.locator("tr[data-signal]").filter({ hasText: "5 min" });
      await row.getByRole("button", { name: "Close" }).click();
      const fanOut = page.getByRole("region", { name: "Fan-out" });
      await fanOut.getByText("✕ CLOSE").waitFor();
      await fanOut.getByText("complete", { exact: true }).waitFor();
      expect(await read(fanOut.locator("[data-outcome=placed]"))).toBe(FOLLOWERS);
      await row.getByText(`${FOLLOWERS} sold`).waitFor();
      expect(await row.getByRole("button", { name: "Close" }).count()).toBe(0);
      expect(await read(row.locator(".net"))).toMatch(/^[+−]?\$[\d,]+\.\d\d$/);
      const close = page.locator("tr[data-signal]").filter({ hasText: "✕ CLOSE" });
      await close.getByText(`${FOLLOWERS} of ${FOLLOWERS} closed`).waitFor();
      expect(complaints).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "the page fits a width of 375 px and logs no warning",
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

async function untilComplete(page: Page, contract: "CALL" | "PUT"): Promise<void> {
  const fanOut = page.getByRole("region", { name: "Fan-out" });
  await fanOut.getByText(contract).waitFor();
  await fanOut.getByText("complete", { exact: true }).waitFor();
  expect(await read(fanOut.locator("[data-outcome=placed]"))).toBe(FOLLOWERS);
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
