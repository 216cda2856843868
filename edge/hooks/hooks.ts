/** `POST /hooks/:hook`: signals from senders of webhooks, each by the proof that its kind has to offer. */
import type { HookId } from "../../domain/ids.ts";
import { ID_PATTERN } from "../../domain/ids.ts";
import type { Hook } from "../../domain/copier/hook.ts";
import { HomeKeys, hookKey } from "../../redis/keys.ts";
import { mediaTypeOf, readBytes } from "../body.ts";
import type { Edge, EdgeApp } from "../edge.ts";
import { describe, IDEMPOTENCY_KEY_HEADER, schemaOf } from "../openapi.ts";
import { problemResponse } from "../problems.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { StandardHookBody, TradingViewBody } from "../schemas.ts";
import {
  ACCEPT_PROBLEMS,
  ACCEPTED,
  answerSignal,
  BODY_PROBLEMS,
  idempotencyKeyOf,
} from "../signals.ts";
import type { Delivery, HookRequest } from "./delivery.ts";
import { readStandard } from "./standard.ts";
import { readSymbols, readTradingView } from "./tradingview.ts";

const DESCRIPTION = `Two kinds of hook.

*TradingView*: the address is \`/hooks/<id>.<secret>\`. The body is JSON, or text such as
\`symbol=EUR/USD contract=CALL stake=5.00 duration=30 id=my-alert time={{timenow}}\`.
A close is \`action=close symbol=EUR/USD\`, or \`action=close signal=<id>\`.
A delivery with the same \`id\`, the same \`time\` and the same signal is a repetition, in JSON and in text alike;
without a \`time\` for a minute only. An \`Idempotency-Key\` takes the place of all three.

*Standard Webhooks*: the address is \`/hooks/<id>\`; \`webhook-id\`, \`webhook-timestamp\` and
\`webhook-signature\` (or \`svix-…\`) sign the JSON body. A repetition is known by \`webhook-id\` alone:
\`Idempotency-Key\` is not looked at, as it is not signed.`;

/** Several senders sign with the same headers under two names. */
const SIGNED_HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => ({
  name,
  in: "header" as const,
  required: false,
  schema: { type: "string" as const },
}));

const BODIES = [TradingViewBody, StandardHookBody].flatMap(({ open, close }) => [open, close]);

export function serveHooks(app: EdgeApp, edge: Edge): void {
  app.post(
    "/hooks/:hook",
    describe({
      operationId: "sendHook",
      summary: "Send a signal by webhook",
      description: DESCRIPTION,
      parameters: [
        {
          name: "hook",
          in: "path",
          required: true,
          schema: { type: "string", pattern: "^[A-Za-z0-9_-]{1,64}([.][A-Za-z0-9_-]{1,128})?$" },
        },
        IDEMPOTENCY_KEY_HEADER,
        ...SIGNED_HEADERS,
      ],
      requestBody: {
        "application/json": {
          schema: { anyOf: BODIES.map(schemaOf) },
        },
        "text/plain": { schema: { type: "string" } },
      },
      responses: ACCEPTED,
      problems: [
        "HEADER_INVALID",
        "HOOK_UNKNOWN",
        "WEBHOOK_SIGNATURE_INVALID",
        "WEBHOOK_STALE",
        ...BODY_PROBLEMS,
        ...ACCEPT_PROBLEMS,
      ],
    }),
    async (c) => {
      const [, id = "", secret = ""] = ADDRESS.exec(c.req.param("hook")) ?? [];
      if (!ID_PATTERN.test(id)) return problemResponse(failure("HOOK_UNKNOWN"));
      const key = idempotencyKeyOf(c);
      if (!key.ok) return problemResponse(key);
      const bytes = await readBytes(c.req.raw);
      if (!bytes.ok) return problemResponse(bytes);
      const hook = await findHook(edge, id as HookId);
      if (!hook.ok) return problemResponse(hook);
      const delivery = await readDelivery(edge, hook.value, {
        secret,
        headers: c.req.raw.headers,
        mediaType: mediaTypeOf(c.req.raw),
        bytes: bytes.value,
      });
      if (!delivery.ok) return problemResponse(delivery);
      return answerSignal(c, edge, { ...delivery.value, sender: hook.value.sender });
    },
  );
}

const ADDRESS = /^([A-Za-z0-9_-]{1,64})(?:\.([A-Za-z0-9_-]{1,128}))?$/;

async function findHook(edge: Edge, id: HookId): Promise<Result<Hook>> {
  const record = await edge.home.get(hookKey(id, edge.partitions));
  if (!record.ok) return record;
  return record.value === null
    ? failure("HOOK_UNKNOWN")
    : success(JSON.parse(record.value) as Hook);
}

function readDelivery(edge: Edge, hook: Hook, request: HookRequest): Promise<Result<Delivery>> {
  if (hook.kind === "standard") return readStandard(hook, request, edge.sealKey);
  const home = new HomeKeys(edge.partitions.ofChannel(hook.channel));
  return readTradingView(hook, request, edge.clock(), () =>
    readSymbols(edge.home, home, hook.channel),
  );
}
