/**
 * Ids. Each kind of id has its own type, so that an account can never be passed instead of a
 * subscription.
 *
 * An id is 1 to 64 characters of `A–Z a–z 0–9 _ -`: safe in a URL, in a Redis
 * key (no `{`, `}`, `:`) and inside a client order id (no `.`).
 */
declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

export type PersonId = Id<"person">;
export type ChannelId = Id<"channel">;
export type SubscriptionId = Id<"subscription">;
export type AccountId = Id<"account">;
export type HookId = Id<"hook">;
export type SignalId = Id<"signal">;
/** The id of an order at a broker: `<signal>.<subscription>`, the same at every attempt. */
export type ClientOrderId = Id<"client order">;

export const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

/** Brands a string as an id of the wanted kind. Throws on anything else: ids from outside are checked by the schemas first. */
export function asId<T extends Id<string>>(text: string): T {
  if (!ID_PATTERN.test(text)) throw new TypeError("not an id: 1 to 64 of A-Z a-z 0-9 _ -");
  return text as T;
}

export const SIGNAL_ID_PATTERN = /^s([0-9a-z]{1,3})_[0-9a-f]{32}$/;

/**
 * A signal's id names its home partition in base 36, so that the id alone says where the signal is.
 */
export function signalIdIn(homePartition: number, random: string): SignalId {
  return `s${homePartition.toString(36)}_${random}` as SignalId;
}

export function isSignalId(text: string): text is SignalId {
  return SIGNAL_ID_PATTERN.test(text);
}

export function homePartitionOf(id: SignalId): number {
  return Number.parseInt(SIGNAL_ID_PATTERN.exec(id)?.[1] ?? "", 36);
}

/**
 * Deterministic, so that a broker that knows client order ids opens the order once, however often
 * it is sent.
 */
export function clientOrderId(signal: SignalId, subscription: SubscriptionId): ClientOrderId {
  return `${signal}.${subscription}` as ClientOrderId;
}
