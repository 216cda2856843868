/** A fan-out watched: read, streamed, and over a socket. On each runtime, on a real Redis behind the bridge. */
import { expect, test } from "bun:test";
import { connect, readEvents, SIGNAL } from "./client.ts";
import { expectProblem, onEachRuntime } from "./harness.ts";
import { FOLLOWERS } from "./world.ts";

onEachRuntime((at) => {
  test("a signal is visible at once to the people it concerns, and to no others", async () => {
    const { body } = await at.send(SIGNAL);
    const path = `/v1/signals/${String(body["id"])}`;
    const before = await at.get(path);
    expect(before.body).toEqual({
      id: body["id"],
      status: "running",
      counts: { followers: FOLLOWERS, placed: 0, rejected: 0, skipped: 0, unknown: 0 },
      timing: { acceptedAtMs: body["acceptedAtMs"], firstMs: null, lastMs: null },
    });
    await at.world.place(String(body["id"]), FOLLOWERS);
    expect((await at.get(path)).body).toMatchObject({
      status: "complete",
      counts: { placed: FOLLOWERS },
      timing: { firstMs: 7, lastMs: 9 },
    });
    const granted = { authorization: `Bearer ${await at.world.token({ sub: "demo-trader" })}` };
    expect((await at.get(path, granted)).status).toBe(200);
    for (const name of ["stranger", "constructor", "__proto__", "toString"]) {
      const stranger = { authorization: `Bearer ${await at.world.token({ sub: name })}` };
      expectProblem(await at.get(path, stranger), "SIGNAL_UNKNOWN", 404);
    }
    expectProblem(await at.get(`${path}0`), "SIGNAL_UNKNOWN", 404);
    expectProblem(await at.get(`/v1/signals/s0_${"0".repeat(32)}`), "SIGNAL_UNKNOWN", 404);
    expectProblem(await at.get(path, {}), "TOKEN_MISSING", 401);
  });

  test("a watched signal's progress is sent as it changes, until it is complete", async () => {
    const { body } = await at.send(SIGNAL);
    const id = String(body["id"]);
    const response = await fetch(`${at.url}/v1/signals/${id}/live`, { headers: at.bearer });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const events = readEvents(response);
    const placed = async () => {
      const { value } = await events.next();
      const counts = value?.data["counts"] as { placed: number };
      return [value?.event, counts.placed];
    };
    expect(await placed()).toEqual(["progress", 0]);
    const startedAt = performance.now();
    await at.world.place(id, 100);
    expect(await placed()).toEqual(["progress", 100]);
    // Faster than the poll each second, so it was the wake-up.
    expect(performance.now() - startedAt).toBeLessThan(700);
    await at.world.place(id, FOLLOWERS - 100, { quietly: true });
    expect(await placed()).toEqual(["progress", FOLLOWERS]);
    expect(await placed()).toEqual(["complete", FOLLOWERS]);
    expect((await events.next()).done).toBe(true);
  });

  test("a socket takes signals and answers with acceptance and progress", async () => {
    const socket = await connect(`${at.url}/v1/ws`, at.bearer);
    const key = crypto.randomUUID();
    socket.send({ ...SIGNAL, ref: "one", idempotencyKey: key });
    const answer = await socket.next();
    expect(answer).toMatchObject({ type: "accepted", ref: "one", followers: FOLLOWERS });
    expect(await socket.next()).toMatchObject({ type: "progress", ref: "one", status: "running" });
    await at.world.place(String(answer["id"]), FOLLOWERS);
    expect(await socket.next()).toMatchObject({ type: "progress", ref: "one", status: "complete" });
    socket.send({ ...SIGNAL, ref: "two", idempotencyKey: key });
    expect(await socket.next()).toEqual({ ...answer, ref: "two" });
    expect(await socket.next()).toMatchObject({ type: "progress", ref: "two", status: "complete" });
    socket.send({ ...SIGNAL, ref: "three", stakeCents: -1 });
    expect(await socket.next()).toMatchObject({
      type: "problem",
      ref: "three",
      code: "BODY_INVALID",
    });
    socket.send("{");
    expect(await socket.next()).toMatchObject({ type: "problem", code: "BODY_MALFORMED" });
    socket.send("x".repeat(16 * 1024 + 1));
    expect(await socket.next()).toMatchObject({ type: "problem", code: "BODY_TOO_LARGE" });
    socket.close();
  });

  test("a socket has at most 64 signals in progress, and takes more when some are complete", async () => {
    const socket = await connect(`${at.url}/v1/ws`, at.bearer);
    for (let index = 0; index <= 64; index += 1) socket.send({ ...SIGNAL, ref: String(index) });
    const accepted: string[] = [];
    let refused: Record<string, unknown> | undefined;
    while (!refused || accepted.length < 64) {
      const message = await socket.next();
      if (message["type"] === "accepted") accepted.push(String(message["id"]));
      if (message["type"] === "problem") refused = message;
    }
    expect(refused).toMatchObject({ ref: "64", code: "SOCKET_FULL" });
    await at.world.place(accepted[0]!, FOLLOWERS);
    for (let last = await socket.next(); last["status"] !== "complete";) last = await socket.next();
    socket.send({ ...SIGNAL, ref: "again" });
    for (let last = await socket.next(); last["ref"] !== "again";) {
      last = await socket.next();
      if (last["ref"] === "again") expect(last["type"]).toBe("accepted");
    }
    socket.close();
  });

  test("a socket may show its token in its first message, and is closed over a bad one", async () => {
    const good = await connect(`${at.url}/v1/ws`);
    good.send({ type: "auth", token: await at.world.token() });
    expect(await good.next()).toEqual({ type: "authenticated" });
    good.send(SIGNAL);
    expect(await good.next()).toMatchObject({ type: "accepted" });
    good.close();
    const bad = await connect(`${at.url}/v1/ws`);
    bad.send({ type: "auth", token: await at.world.foreignToken() });
    expect(await bad.next()).toMatchObject({ type: "problem", code: "TOKEN_INVALID" });
    expect(await bad.closed).toBe(1008);
    const mute = await connect(`${at.url}/v1/ws`);
    mute.send(SIGNAL);
    expect(await mute.next()).toMatchObject({ type: "problem", code: "TOKEN_MISSING" });
    expect(await mute.closed).toBe(1008);
    expectProblem(await at.get("/v1/ws"), "UPGRADE_REQUIRED", 426);
  });
});
