/** `POST /hooks/:hook`: signals from senders of webhooks, each verified in the way of its kind. */
import * as v from "valibot";
import type { HookId } from "../../domain/ids.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { bytes, readMediaType } from "../../http/body.ts";
import type { Hook } from "../../domain/copier/hook.ts";
import { HOME_FILLED_FIELD } from "../../redis/filled.ts";
import { HomeKeys, hookHeader, hookKey } from "../../redis/keys.ts";
import type { Edge, EdgeService } from "../edge.ts";
import { StandardHookBody, TradingViewBody } from "../schemas.ts";
import { ACCEPT_PROBLEMS, ACCEPTED, answerSignal, REPEATED } from "../signals.ts";
import type { Delivery, HookRequest } from "./delivery.ts";
import { readStandard } from "./standard.ts";
import { readSymbols, readTradingView } from "./tradingview.ts";

const DESCRIPTION = `Two kinds of hook.

*TradingView*: the address is \`/hooks/<id>.<secret>\`. The body is JSON, or text such as
\`symbol=EUR/USD contract=CALL stake=5.00 duration=30 id=my-alert time={{timenow}}\`.
A close is \`action=close symbol=EUR/USD\`, or \`action=close signal=<id>\`.
A delivery with the same \`id\`, the same \`time\` and the same signal counts as a repeat, in JSON and in text alike;
without a \`time\` for a minute only. An \`Idempotency-Key\` replaces all three.

*Standard Webhooks*: the address is \`/hooks/<id>\`; \`webhook-id\`, \`webhook-timestamp\` and
\`webhook-signature\` (or \`svix-…\`) sign the JSON body. A repeat is recognised by \`webhook-id\` alone:
\`Idempotency-Key\` is ignored, because it is not signed.`;

/** Some senders use the same signature headers under two names; each kind of hook reads its own. */
const SIGNED_HEADERS = Object.fromEntries(
  ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => [
    name,
    v.optional(v.string()),
  ]),
);

const BODY = bytes({
  "application/json": [TradingViewBody, StandardHookBody].flatMap(({ open, close }) => [
    open,
    close,
  ]),
  "text/plain": [v.string()],
});

const ADDRESS = /^([A-Za-z0-9_-]{1,64})(?:[.]([A-Za-z0-9_-]{1,128}))?$/;

export function serveHooks(service: EdgeService, edge: Edge): void {
  service.serve({
    method: "POST",
    path: "/hooks/:hook",
    operationId: "sendHook",
    summary: "Send a signal by webhook",
    description: DESCRIPTION,
    params: { hook: { pattern: ADDRESS, unknown: "HOOK_UNKNOWN" } },
    headers: SIGNED_HEADERS,
    idempotency: REPEATED,
    body: BODY,
    answers: ACCEPTED,
    problems: ["WEBHOOK_SIGNATURE_INVALID", "WEBHOOK_STALE", ...ACCEPT_PROBLEMS],
    async handle({ params, body, request, later }) {
      const [, id = "", secret = ""] = ADDRESS.exec(params.hook) ?? [];
      const hook = await findHook(edge, id as HookId);
      if (!hook.ok) return hook;
      const delivery = await readDelivery(edge, hook.value, {
        secret,
        headers: request.headers,
        mediaType: readMediaType(request),
        bytes: body,
      });
      if (!delivery.ok) return delivery;
      return await answerSignal(edge, later, { ...delivery.value, sender: hook.value.sender });
    },
  });
}

async function findHook(edge: Edge, id: HookId): Promise<Result<Hook>> {
  const format = await edge.formats.check();
  if (!format.ok) return format;
  const record = await edge.home.get(hookKey(id, edge.partitions));
  if (!record.ok) return record;
  if (record.value !== null) return success(JSON.parse(record.value) as Hook);
  // After a 404 a sender does not send again, so an empty Redis answers 503.
  const header = hookHeader(id, edge.partitions);
  const isFilled = await edge.home.hasField(header, HOME_FILLED_FIELD);
  if (!isFilled.ok) return isFilled;
  return failure(isFilled.value ? "HOOK_UNKNOWN" : "STORE_UNFILLED");
}

function readDelivery(edge: Edge, hook: Hook, request: HookRequest): Promise<Result<Delivery>> {
  if (hook.kind === "standard") return readStandard(hook, request, edge.sealKey);
  const home = new HomeKeys(edge.partitions.ofChannel(hook.channel));
  return readTradingView(hook, request, edge.clock(), () =>
    readSymbols(edge.home, home, hook.channel),
  );
}
