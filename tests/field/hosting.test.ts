/**
 * What people see who host Fanfare for others: the page at a network address, over plain HTTP. In a
 * real browser on the whole system.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { networkAddresses } from "../../local/addresses.ts";
import {
  hasBrowser,
  openStage,
  signIn,
  START_TIMEOUT_MS,
  TEST_TIMEOUT_MS,
  type Stage,
} from "../e2e/stage.ts";
import { need } from "../support/needs.ts";

const [host = ""] = networkAddresses();
const hasNetwork = need("the page in a network", host !== "", "no address but loopback");

describe.skipIf(!hasBrowser || !hasNetwork)("with HOST set to an address of the network", () => {
  let stage: Stage;
  const complaints: string[][] = [];

  beforeAll(async () => {
    stage = await openStage({ HOST: host });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await stage?.close();
  }, TEST_TIMEOUT_MS);

  /** A new page; its warnings and errors fail the test. */
  async function openPage(): Promise<Page> {
    const opened = await stage.open();
    complaints.push(opened.complaints);
    await opened.page.goto(stage.system.url);
    expect(await opened.page.evaluate<boolean>("isSecureContext")).toBe(false);
    return opened.page;
  }

  /** All except Chromium's standard warning for a page at such an address. */
  const complained = (): string[] =>
    complaints
      .splice(0)
      .flat()
      .filter((each) => !each.startsWith("The Cross-Origin-Opener-Policy header has been ignored"));

  test(
    "the printed address is that one, and loopback does not listen",
    async () => {
      const { origin, hostname, port } = new URL(stage.system.url);
      expect(hostname).toBe(host);
      expect((await fetch(`${origin}/healthz`)).status).toBe(200);
      const atLoopback = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => "refused");
      expect(atLoopback).toBe("refused");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a signal is sent from the page, its fan-out is shown, and it can be closed",
    async () => {
      const page = await openPage();
      await signIn(page, stage.system);
      await page.getByRole("button", { name: "5 min", exact: true }).click();
      await page.getByRole("button", { name: "Send CALL" }).click();
      const fanOut = page.getByRole("region", { name: "Fan-out" });
      await fanOut.getByText("complete", { exact: true }).waitFor();
      expect(await fanOut.locator("[data-outcome=placed]").innerText()).toBe("1,000");
      const row = page.locator("tr[data-signal]").filter({ hasText: "5 min" });
      await row.getByRole("button", { name: "Close" }).click();
      await fanOut.getByText("✕ CLOSE").waitFor();
      await row.getByText("1,000 sold").waitFor();
      expect(complained()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "the desk opens, and a share is bought",
    async () => {
      const page = await openPage();
      await signIn(page, stage.system.trader);
      await page.getByText("Added $10,000.00").waitFor();
      await page.getByLabel("Symbol").first().fill("ABC");
      await page.getByLabel("Amount", { exact: true }).fill("2000");
      await page.getByLabel("Amount", { exact: true }).press("Enter");
      await page.getByRole("button", { name: "Commit buy" }).click();
      await page.getByText(/^Bought: [\d,]+ ABC for/).waitFor();
      await page.locator("[data-holding=ABC]").waitFor();
      expect(complained()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a browser without a needed feature shows the failure: behind a button, in a page that stays blank, in a timer and in a promise",
    async () => {
      const page = await openPage();
      const fault = page.getByRole("alert").filter({ hasText: "Something in this page failed." });
      await page.addInitScript(
        'crypto.getRandomValues = () => { throw new Error("no random numbers") }',
      );
      await page.reload();
      await signIn(page, stage.system);
      const send = page.getByRole("button", { name: "Send CALL" });
      await send.waitFor();
      expect(await fault.count()).toBe(0);
      await send.click();
      await fault.getByText("Error: no random numbers").waitFor();

      await fault.getByRole("button", { name: "Reload the page" }).click();
      await fault.waitFor({ state: "hidden" });
      await page.getByRole("button", { name: "Sign out" }).click();
      await signIn(page, stage.system.trader);
      await fault.getByText("Error: no random numbers").waitFor();

      for (const [where, code] of [
        ["a timer", "setTimeout(() => { throw new Error('in a timer') })"],
        ["a promise", "void Promise.reject(new Error('in a promise'))"],
      ] as const) {
        await page.evaluate(code);
        await fault.getByText(`Error: in ${where}`).waitFor();
      }
      // Each is also in the browser's console, with its place.
      expect(complained()).toEqual([
        expect.stringContaining("no random numbers"),
        expect.stringContaining("no random numbers"),
        "in a timer",
        "in a promise",
      ]);
    },
    TEST_TIMEOUT_MS,
  );
});
