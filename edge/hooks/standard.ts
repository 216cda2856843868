/**
 * Standard Webhooks (and Svix, its origin): an HMAC over id, timestamp and the body's bytes, at
 * most five minutes off. The delivery's id is always the idempotency key. A header that the sender
 * chooses is not signed, and would make a replayed delivery look new.
 */
import { compactDecrypt } from "jose";
import { Webhook } from "standardwebhooks";
import type { Hook } from "../../domain/copier/hook.ts";
import { decodeText, parseJson } from "../../http/body.ts";
import { failure, success, type Result } from "../../domain/result.ts";
import { checkSignal, toSignal, StandardHookBody } from "../schemas.ts";
import { channelFault, type Delivery, type HookRequest } from "./delivery.ts";

type StandardHook = Extract<Hook, { kind: "standard" }>;

export async function readStandard(
  hook: StandardHook,
  request: HookRequest,
  sealKey: Uint8Array,
): Promise<Result<Delivery>> {
  // This kind has no secret in its URL: such an address does not exist.
  if (request.secret !== "") return failure("HOOK_UNKNOWN");
  const text = decodeText(request.bytes);
  if (!text.ok) return text;
  const id = signedId(request.headers, text.value, await openSecret(hook.sealedSecret, sealKey));
  if (id === undefined) return failure("WEBHOOK_SIGNATURE_INVALID");
  if (request.mediaType !== "application/json") return failure("BODY_TYPE_UNSUPPORTED");
  const json = parseJson(text.value);
  const body = json.ok ? checkSignal(StandardHookBody, json.value) : json;
  if (!body.ok) return body;
  return (
    channelFault(hook, body.value.channel) ??
    success({
      signal: toSignal(hook.channel, body.value),
      idempotencyKey: `hook:${hook.id}:delivery:${id}`,
    })
  );
}

/** Throws if the seal cannot be opened: the keys of this deployment do not match. */
async function openSecret(sealed: string, sealKey: Uint8Array): Promise<string> {
  const { plaintext } = await compactDecrypt(sealed, sealKey, {
    keyManagementAlgorithms: ["dir"],
    contentEncryptionAlgorithms: ["A256GCM"],
  });
  return new TextDecoder().decode(plaintext);
}

/** The delivery's id if its signature is valid. */
function signedId(headers: Headers, body: string, secret: string): string | undefined {
  const signed = Object.fromEntries(
    ["id", "timestamp", "signature"].map((name) => [
      `webhook-${name}`,
      headers.get(`webhook-${name}`) ?? headers.get(`svix-${name}`) ?? "",
    ]),
  );
  const id = signed["webhook-id"] ?? "";
  if (!/^[!-~]{1,255}$/.test(id) || !/^\d{1,12}$/.test(signed["webhook-timestamp"] ?? "")) {
    return undefined;
  }
  const webhook = new Webhook(secret);
  try {
    webhook.verify(body, signed, { jsonParse: false });
    return id;
  } catch {
    // It was not signed with this secret: there is no other reason to throw.
    return undefined;
  }
}
