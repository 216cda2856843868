/**
 * The demo data: a provider, a channel, a thousand followers with a broker account and a
 * subscription each, and a day trader. Recording them again keeps later changes.
 */
import {
  asId,
  type AccountId,
  type ChannelId,
  type PersonId,
  type SubscriptionId,
} from "../../../domain/ids.ts";
import { DEFAULT_DEADLINE_MS } from "../../../domain/copier/channel.ts";
import { deriveLiveKey } from "../../records/live-key.ts";
import type { Records, SubscriptionRecord } from "../../records/port.ts";
import { hashPassword } from "../../api/sign-in.ts";
import type { DemoSecrets } from "./secrets.ts";

export const DEMO_PROVIDER = asId<PersonId>("demo-provider");
/** Only letters, so that it is a valid desk user. */
export const DEMO_TRADER = asId<PersonId>("daytrader");
const TRADER_EMAIL = "trader@fanfare.local";
export const DEMO_CHANNEL = asId<ChannelId>("demo");
const BROKER = "desk";
const FOLLOWERS = 1_000;
const SYMBOLS = ["EUR/USD", "GBP/USD", "USD/JPY", "BTC/USD", "R_100"] as const;
const TEN_YEARS_MS = 10 * 365 * 24 * 60 * 60 * 1000;

interface DemoFollower {
  readonly person: PersonId;
  readonly account: AccountId;
  readonly subscription: SubscriptionId;
  /** From $1 to $5, so that neighbours differ. */
  readonly stakeCents: number;
}

export const DEMO_FOLLOWERS: readonly DemoFollower[] = Array.from({ length: FOLLOWERS }, (_, n) => {
  const number = String(n + 1).padStart(4, "0");
  return {
    person: asId<PersonId>(`demo-follower-${number}`),
    account: asId<AccountId>(`demo-acct-${number}`),
    subscription: asId<SubscriptionId>(`demo-sub-${number}`),
    stakeCents: 100 + ((n * 157) % 401),
  };
});

export async function seedWorld(
  records: Records,
  { email, password }: DemoSecrets,
  region: string,
  nowMs: number,
): Promise<void> {
  await seedSignIn(records, { _id: DEMO_PROVIDER, name: "Demo provider", email }, password);
  const trader = { _id: DEMO_TRADER, name: "Demo day trader", email: TRADER_EMAIL };
  await seedSignIn(records, trader, password);
  await records.people.merge(
    DEMO_FOLLOWERS.map(({ person }, n) => ({ _id: person, name: `Demo follower ${n + 1}` })),
  );
  await records.channels.putNewer([
    {
      _id: DEMO_CHANNEL,
      name: "Demo",
      provider: DEMO_PROVIDER,
      symbols: SYMBOLS,
      deadlineMs: DEFAULT_DEADLINE_MS,
      grants: { [DEMO_PROVIDER]: {} },
      version: 1,
      outbox: true,
    },
  ]);
  await records.accounts.merge(
    DEMO_FOLLOWERS.map(({ account, person }) => ({ _id: account, person, broker: BROKER, region })),
  );
  await records.subscriptions.putNewer(
    DEMO_FOLLOWERS.map(({ subscription, person, account, stakeCents }): SubscriptionRecord => ({
      _id: subscription,
      channel: DEMO_CHANNEL,
      follower: person,
      account,
      broker: BROKER,
      region,
      state: "active",
      expiresAtMs: nowMs + TEN_YEARS_MS,
      plan: { sizing: { kind: "fixed", stakeCents } },
      version: 1,
      outbox: true,
      ...deriveLiveKey({ account, channel: DEMO_CHANNEL, state: "active" }),
    })),
  );
}

/** Hashed again only if another password, or none, is stored. */
async function seedSignIn(
  { people }: Records,
  person: { readonly _id: PersonId; readonly name: string; readonly email: string },
  password: string,
): Promise<void> {
  const current = await people.get(person._id);
  const isStored =
    current?.email === person.email &&
    current.passwordHash !== undefined &&
    (await Bun.password.verify(password, current.passwordHash));
  if (isStored) return;
  await people.merge([{ ...person, passwordHash: await hashPassword(password) }]);
}
