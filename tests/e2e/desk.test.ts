/**
 * The desk's page as a day trader uses it, in a real browser on the whole system.
 * `UPDATE_SCREENSHOTS=1` renews the screenshots in `docs/`.
 */
import { readFileSync } from "node:fs";
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

describe.skipIf(!hasBrowser)("the desk", () => {
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

  const balance = async (): Promise<string> =>
    (await page.locator("[data-figure=balance]").innerText()).trim();
  const button = (name: string) => page.getByRole("button", { name, exact: true });

  test(
    "a day trader signs in with a real deposit on the account, and a price is marked as simulated",
    async () => {
      await page.goto(system.url);
      await signIn(page, system.trader);
      await page.getByText("Added $10,000.00").waitFor();
      expect(await balance()).toBe("$10,000.00");
      await page.getByLabel("Symbol").first().fill("abc");
      await button("Quote").click();
      await page.locator(".quote").getByText("simulated").waitFor();
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a buy waits for its commit with a countdown, and then changes money and shares, by the keyboard alone",
    async () => {
      await page.getByLabel("Amount", { exact: true }).fill("2000");
      await page.getByLabel("Amount", { exact: true }).press("Enter");
      const countdown = page.getByRole("timer");
      await countdown.waitFor();
      const first = Number.parseInt(await countdown.innerText(), 10);
      expect(first).toBeWithin(50, 61);
      await until(
        "it counts down",
        async () => Number.parseInt(await countdown.innerText(), 10) < first,
      );
      expect(await balance()).toBe("$10,000.00");
      await button("Commit buy").focus();
      await page.keyboard.press("Enter");
      await page.locator("[data-holding=ABC]").waitFor();
      await page.getByText(/^Bought: [\d,]+ ABC for/).waitFor();
      expect(await balance()).not.toBe("$10,000.00");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a buy can be cancelled, and a refusal is explained in plain words and changes nothing",
    async () => {
      const before = await balance();
      await button("Buy ABC").click();
      await button("Cancel buy").click();
      await page.getByText(/^Cancelled:/).waitFor();
      await page.getByLabel("Amount", { exact: true }).fill("5000000");
      await button("Buy ABC").click();
      await page.getByRole("alert").getByText("The balance does not cover the amount.").waitFor();
      expect(await balance()).toBe(before);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "a trigger reserves its money, one that is met already fires, and a cancelled one returns it",
    async () => {
      const form = page.getByRole("form", { name: "Set a trigger" });
      await form.getByLabel("Symbol").fill("ABC");
      await form.getByLabel("Amount in $").fill("500");
      await form.getByLabel("Price in $").fill("0.01");
      await button("Set trigger").click();
      await page.getByText("Set: ABC is traded at or below $0.01.").waitFor();
      expect(await page.locator("[data-figure=reserved]").innerText()).toBe("$500.00");
      await button("Cancel the buy trigger for ABC").click();
      await page.getByText("None is waiting.").waitFor();
      expect(await page.locator("[data-figure=reserved]").innerText()).toBe("$0.00");
      await form.getByLabel("Side").selectOption("SELL");
      await form.getByLabel("Amount in $").fill("1");
      await form.getByLabel("Price in $").fill("0.01");
      await button("Set trigger").click();
      await page.getByText(/^The price was met already: 100 ABC traded\.$/).waitFor();
      expect(complaints.splice(0)).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "kill -9 of either desk server during trading is not noticed, and a lost answer does nothing twice",
    async () => {
      await page.getByLabel("Add money in $").fill("1.00");
      let lost = 0;
      await page.route("**/v1/desk/commands", async (route) => {
        await route.fetch();
        lost += 1;
        await (lost === 1 ? route.abort() : route.fulfill({ response: await route.fetch() }));
      });
      const before = Number((await balance()).replaceAll(/[$,]/g, ""));
      await button("Add").click();
      await page.getByText("Added $1.00.").waitFor();
      await page.unroute("**/v1/desk/commands");
      let added = 1;
      for (const name of ["desk", "desk2"]) {
        system.kill(name);
        await page.getByLabel("Add money in $").fill("2.00");
        await button("Add").click();
        await page.getByText("Added $2.00.").waitFor();
        added += 2;
        await until("the balance shows it", async () => {
          return (
            Number((await balance()).replaceAll(/[$,]/g, "")).toFixed(2) ===
            (before + added).toFixed(2)
          );
        });
      }
      expect(complaints.splice(0).filter((each) => !each.includes("ERR_FAILED"))).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "the log is downloaded as the desk wrote it",
    async () => {
      const downloading = page.waitForEvent("download");
      await button("Download log").click();
      const download = await downloading;
      expect(download.suggestedFilename()).toBe("desk-log-daytrader.xml");
      const log = readFileSync((await download.path()) ?? "", "utf8");
      expect(log).toStartWith('<?xml version="1.0"?>\n<log>');
      expect(log).toInclude("<command>COMMIT_BUY</command>");
      expect(log).not.toMatch(/<username>(?!daytrader<)/);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "the page fits a width of 375 px and logs no warning",
    async () => {
      await page.getByLabel("Amount", { exact: true }).fill("250");
      await button("Quote").click();
      await button("Buy ABC").click();
      await page.getByRole("timer").waitFor();
      const form = page.getByRole("form", { name: "Set a trigger" });
      await form.getByLabel("Side").selectOption("BUY");
      await form.getByLabel("Symbol").fill("XYZ");
      await form.getByLabel("Amount in $").fill("750");
      await form.getByLabel("Price in $").fill("0.05");
      await button("Set trigger").click();
      await page.getByText("Set: XYZ").waitFor();
      await screenshot(page, "docs/desk-wide.png");
      await page.setViewportSize({ width: 375, height: 812 });
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(375);
      await screenshot(page, "docs/desk-375.png");
      await button("Console").click();
      await page.getByText("You may not send to any channel yet.").waitFor();
      expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(375);
      expect(complaints).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});
