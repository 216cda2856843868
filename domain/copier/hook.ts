/**
 * A hook: the address to which a sender of webhooks posts signals for one channel, in one person's
 * name.
 */
import type { ChannelId, HookId, PersonId } from "../ids.ts";

export type Hook = {
  readonly id: HookId;
  readonly channel: ChannelId;
  readonly sender: PersonId;
} & (
  | {
      /**
       * The secret is the last part of the URL, `/hooks/<id>.<secret>`; only its hash is stored.
       */
      readonly kind: "tradingview";
      /** Hex SHA-256 of the secret. */
      readonly secretSha256: string;
    }
  | {
      /**
       * Standard Webhooks: the body is signed with a shared secret, stored as a JWE that only the
       * edge can open.
       */
      readonly kind: "standard";
      readonly sealedSecret: string;
    }
);
