/** What senders to the desk really do, from cases seen in the field. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  parseReplies,
  sendLines,
  startTradingDesk,
  type DeskReply,
  type TradingDesk,
} from "../support/trading-desk.ts";

let desk: TradingDesk;
beforeAll(async () => {
  desk = await startTradingDesk({ servers: 1, prices: { ABC: "5.00" } });
}, 30_000);
afterAll(() => desk.stop());

const send = (lines: readonly string[], headers: Record<string, string>): Promise<DeskReply[]> =>
  fetch(`${desk.servers[0]!.url}/v1/desk/commands`, {
    method: "POST",
    headers: { authorization: `Bearer ${desk.token}`, ...headers },
    body: lines.join("\n"),
  }).then(async (response) => parseReplies(await response.text()));

test("a number that a session used for another command is refused with a code, and nothing is done", async () => {
  const [added] = await sendLines(desk.servers[0]!, desk.token, ["[1] ADD,u,10.00"], "today");
  expect(added).toMatchObject({ ok: true, balanceCents: 1_000 });
  const reused = await sendLines(desk.servers[0]!, desk.token, ["[1] BUY,u,ABC,5.00"], "today");
  expect(reused).toMatchObject([{ n: 1, ok: false, code: "COMMAND_NUMBER_REUSED" }]);
  const [again, summary] = await sendLines(
    desk.servers[0]!,
    desk.token,
    ["[1] ADD,u,10.00", "DISPLAY_SUMMARY,u"],
    "today",
  );
  expect(again).toEqual(added);
  expect(summary).toMatchObject({ balanceCents: 1_000, pendingBuys: [] });
  const log = await fetch(`${desk.servers[0]!.url}/v1/desk/log?user=u`, {
    headers: { authorization: `Bearer ${desk.token}` },
  });
  expect((await log.text()).match(/<errorEvent>/g)).toHaveLength(1);
});

test("two senders of one account may use the same session and numbers", async () => {
  const session = { "command-session": "today" };
  const senders = [{}, { "desk-user": "both" }, { "desk-sender": "an-administrator" }];
  for (const [index, sender] of senders.entries()) {
    const once = await send(["[1] ADD,both,1.00"], { ...session, ...sender });
    expect(once).toMatchObject([{ balanceCents: 100 * (index + 1) }]);
    expect(await send(["[1] ADD,both,1.00"], { ...session, ...sender })).toEqual(once);
  }
});
