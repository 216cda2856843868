/** What a stop or a setting applies to: everything, or the copies of one channel, provider, follower or broker. */
export const SCOPE_KINDS = ["channel", "provider", "follower", "broker"] as const;

/** `platform`, or a kind and an id: `channel:demo`. */
export type Scope = "platform" | `${(typeof SCOPE_KINDS)[number]}:${string}`;

export const SCOPE_PATTERN =
  /^(?:platform|(?:channel|provider|follower|broker):[A-Za-z0-9_-]{1,64})$/;

export interface ParsedScope {
  readonly kind: "platform" | (typeof SCOPE_KINDS)[number];
  /** Empty for the platform. */
  readonly id: string;
}

export function isScope(text: string): text is Scope {
  return SCOPE_PATTERN.test(text);
}

/** Undefined if the text names no scope. */
export function parseScope(text: string): ParsedScope | undefined {
  if (!isScope(text)) return undefined;
  const [kind, id = ""] = text.split(":");
  return { kind: kind as ParsedScope["kind"], id };
}
