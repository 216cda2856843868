/**
 * What senders of webhooks really do: which of their deliveries are one signal, and which are two.
 * On each runtime, on a real Redis behind the bridge.
 */
import { expect, test } from "bun:test";
import { HOOK_SIGNAL, signed, type Answer } from "../runtime/client.ts";
import { onEachRuntime } from "../runtime/harness.ts";
import { URL_SECRET } from "../runtime/world.ts";

const TRADING_VIEW = `tv.${URL_SECRET}`;

onEachRuntime((at) => {
  const alert = async (line: string): Promise<Answer> =>
    await at.hook(TRADING_VIEW, line, { "content-type": "text/plain" });

  /** Sends them one after the other, and returns the number of resulting signals. */
  async function signalsFrom(...deliveries: readonly (() => Promise<Answer>)[]): Promise<number> {
    const before = await at.accepted();
    const ids = new Set<unknown>();
    for (const deliver of deliveries) {
      const { status, body } = await deliver();
      expect(status).toBe(202);
      ids.add(body["id"]);
    }
    expect(await at.accepted()).toBe(before + ids.size);
    return ids.size;
  }

  test("one alert that fires for two symbols in the same second is two signals", async () => {
    const time = secondsAgo(0);
    const firing = (symbol: string) => async () =>
      await alert(`symbol=${symbol} contract=CALL stake=5.00 duration=60 id=my-alert time=${time}`);
    expect(await signalsFrom(firing("EURUSD"), firing("GBPUSD"))).toBe(2);
  });

  test("an alert that reverses in the same second is two signals", async () => {
    const time = secondsAgo(0);
    const firing = (contract: string) => async () =>
      await alert(`symbol=EURUSD contract=${contract} stake=5 duration=60 id=turn time=${time}`);
    const close = async () => await alert(`action=close symbol=EURUSD id=turn time=${time}`);
    expect(await signalsFrom(firing("CALL"), firing("PUT"), close)).toBe(3);
  });

  test("the same line with two ids and no time is two signals", async () => {
    const line = "symbol=EURUSD contract=CALL stake=5.00 duration=61";
    const deliveries = ["L1", "L2"].map((id) => async () => await alert(`${line} id=${id}`));
    expect(await signalsFrom(...deliveries)).toBe(2);
  });

  test("the same line with two times and no id is two signals", async () => {
    const line = "symbol=EURUSD contract=CALL stake=5.00 duration=62";
    const deliveries = [20, 0].map(
      (ago) => async () => await alert(`${line} time=${secondsAgo(ago)}`),
    );
    expect(await signalsFrom(...deliveries)).toBe(2);
  });

  test("an alert that TradingView resends is one signal, with an id, a time, both or neither", async () => {
    const time = secondsAgo(5);
    for (const [index, marks] of ["", "id=R", `time=${time}`, `id=R time=${time}`].entries()) {
      const line = `symbol=EURUSD contract=CALL stake=5.00 duration=${70 + index} ${marks}`;
      const attempt = async () => await alert(line);
      expect(await signalsFrom(attempt, attempt, attempt, attempt)).toBe(1);
    }
  });

  test("an alert in text and the same one in JSON are one signal", async () => {
    const time = secondsAgo(0);
    const text = `symbol=FX:EURUSD, contract=CALL, stake=5, duration=30, id=both, time=${time}`;
    const json = { ...HOOK_SIGNAL, symbol: "EURUSD", channel: "demo", id: "both", time };
    expect(
      await signalsFrom(
        async () => await alert(text),
        async () => await at.hook(TRADING_VIEW, json),
      ),
    ).toBe(1);
  });

  test("two Standard Webhooks deliveries of one body are two signals; one id with another body is refused", async () => {
    const deliver = (id: string, symbol: string) => async () => {
      const body = JSON.stringify({ ...HOOK_SIGNAL, symbol });
      return await at.hook("std", body, signed(id, body));
    };
    const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
    expect(await signalsFrom(deliver(one, "EUR/USD"), deliver(other, "EUR/USD"))).toBe(2);
    await at.refused("IDEMPOTENCY_CONFLICT", 409, deliver(one, "GBP/USD"));
  });
});

/** As TradingView writes `{{timenow}}`. */
function secondsAgo(seconds: number): string {
  return `${new Date(Date.now() - seconds * 1_000).toISOString().slice(0, 19)}Z`;
}
