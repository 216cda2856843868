/** Signals by webhook, from both kinds of sender. On each runtime, on a real Redis behind the bridge. */
import { expect, test } from "bun:test";
import { HOOK_SIGNAL, signed } from "./client.ts";
import { onEachRuntime } from "./harness.ts";
import { URL_SECRET } from "./world.ts";

onEachRuntime((at) => {
  test("a TradingView hook takes JSON and text, and a resent alert is the same signal", async () => {
    const path = `tv.${URL_SECRET}`;
    const time = new Date().toISOString();
    const json = { ...HOOK_SIGNAL, symbol: "EURUSD", id: "alert", time };
    const first = await at.hook(path, json);
    expect(first.status).toBe(202);
    const pairs = `symbol=FX:EURUSD contract=CALL, stake=5.00 duration=30 id=alert time=${time}`;
    const again = await at.hook(path, pairs, { "content-type": "text/plain; charset=utf-8" });
    expect(again.text).toBe(first.text);
    const other = await at.hook(path, { ...json, id: "another" });
    expect(other.body["id"]).not.toBe(first.body["id"]);
    const bare = { ...HOOK_SIGNAL, durationSeconds: 31 };
    expect((await at.hook(path, bare)).text).toBe((await at.hook(path, bare)).text);
    const untyped = await fetch(`${at.url}/hooks/${path}`, {
      method: "POST",
      body: new TextEncoder().encode(JSON.stringify({ ...bare, durationSeconds: 32 })),
    });
    expect(untyped.status).toBe(202);
  });

  test("a TradingView hook refuses wrong secrets, late alerts and wrong bodies, and repeats no secret", async () => {
    const path = `tv.${URL_SECRET}`;
    const unknown = await at.refused("HOOK_UNKNOWN", 404, () => at.hook("tv.wrong", HOOK_SIGNAL));
    const absent = await at.refused("HOOK_UNKNOWN", 404, () => at.hook("no.wrong", HOOK_SIGNAL));
    expect(absent.text).toBe(unknown.text);
    await at.refused("HOOK_UNKNOWN", 404, () => at.hook("tv", HOOK_SIGNAL));
    const timed = (ms: number) => ({
      ...HOOK_SIGNAL,
      time: new Date(Date.now() + ms).toISOString(),
    });
    await at.refused("WEBHOOK_STALE", 422, () => at.hook(path, timed(-61_000)));
    await at.refused("WEBHOOK_STALE", 422, () => at.hook(path, timed(10_000)));
    const elsewhere = { ...HOOK_SIGNAL, channel: "other" };
    const { text } = await at.refused("BODY_INVALID", 422, () => at.hook(path, elsewhere));
    expect(text).not.toContain(URL_SECRET);
    await at.refused("BODY_INVALID", 422, () => at.hook(path, { ...HOOK_SIGNAL, stake: "5.00" }));
    const plain = { "content-type": "text/plain" };
    await at.refused("BODY_MALFORMED", 400, () => at.hook(path, "buy now", plain));
    await at.refused("BODY_TYPE_UNSUPPORTED", 415, () =>
      at.hook(path, "a=b", { "content-type": "application/x-www-form-urlencoded" }),
    );
  });

  test("a Standard Webhooks delivery is accepted once, with any key in its replay", async () => {
    const body = JSON.stringify(HOOK_SIGNAL);
    const headers = signed(crypto.randomUUID(), body);
    const first = await at.hook("std", body, headers);
    expect(first.status).toBe(202);
    const before = await at.accepted();
    const replayed = await at.hook("std", body, { ...headers, "idempotency-key": "fresh" });
    expect(replayed.text).toBe(first.text);
    expect(await at.accepted()).toBe(before);
    const svix = await at.hook("std", body, signed(crypto.randomUUID(), body, { prefix: "svix" }));
    expect(svix.status).toBe(202);
  });

  test("a Standard Webhooks delivery that is forged, old or changed is refused", async () => {
    const body = JSON.stringify(HOOK_SIGNAL);
    const ago = { at: new Date(Date.now() - 301_000) };
    const refusedWith = async (headers: Record<string, string>, sent = body) =>
      await at.refused("WEBHOOK_SIGNATURE_INVALID", 401, () => at.hook("std", sent, headers));
    await refusedWith({});
    await refusedWith(signed("m1", body, ago));
    await refusedWith({ ...signed("m2", body), "webhook-id": "m3" });
    await refusedWith({ ...signed("m4", body), "webhook-signature": "v1,AAAA" });
    await refusedWith(signed("m5", body), `${body} `);
  });
});
