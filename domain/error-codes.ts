/**
 * Every error that a caller can get: its stable code, its HTTP status, the
 * public sentence and what to do. `docs/failure-modes.md` is
 * generated from this table.
 */
interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  readonly action: string;
}

export const ERRORS = {
  BODY_MALFORMED: {
    status: 400,
    title: "The body does not match its content type.",
    action: "Send valid JSON, or for a text hook `key=value` pairs separated by spaces.",
  },
  HEADER_INVALID: {
    status: 400,
    title: "A header has a value that cannot be used.",
    action: "See `faults` for the header and its allowed values.",
  },
  QUERY_INVALID: {
    status: 400,
    title: "A query parameter is unknown or has a value that cannot be used.",
    action: "See `faults` for the parameter and its allowed values.",
  },
  TOKEN_MISSING: {
    status: 401,
    title: "The request carries no bearer token.",
    action: "Send `Authorization: Bearer <token>`.",
  },
  TOKEN_INVALID: {
    status: 401,
    title: "The bearer token was not issued by this system.",
    action: "Sign in again and use the new token.",
  },
  TOKEN_EXPIRED: {
    status: 401,
    title: "The bearer token has expired.",
    action: "Sign in again and use the new token.",
  },
  SIGN_IN_REFUSED: {
    status: 401,
    title: "E-mail and password do not match.",
    action: "Check both and try again.",
  },
  WEBHOOK_SIGNATURE_INVALID: {
    status: 401,
    title: "The webhook's signature or timestamp is not valid.",
    action:
      "Sign `id.timestamp.body` with the hook's secret; keep your clock within five minutes of ours.",
  },
  TOKEN_SCOPE: {
    status: 403,
    title: "The bearer token does not permit this operation.",
    action: "Use a token with the permission that the operation names.",
  },
  GRANT_MISSING: {
    status: 403,
    title: "The sender has no grant for this channel.",
    action: "Ask the channel's provider for a grant, or check the channel's id.",
  },
  GRANT_SYMBOL: {
    status: 403,
    title: "The sender's grant does not cover this symbol.",
    action: "Use a symbol of the grant, or ask the provider to widen it.",
  },
  GRANT_STAKE: {
    status: 403,
    title: "The stake is above what the sender's grant allows.",
    action: "Lower the stake, or ask the provider to widen the grant.",
  },
  GRANT_HOURS: {
    status: 403,
    title: "The sender's grant does not cover this hour.",
    action: "Send within the grant's hours (UTC), or ask the provider to widen them.",
  },
  SETTINGS_FORBIDDEN: {
    status: 403,
    title: "These settings are not yours to change.",
    action: "Change those of your own account, or of a channel that you provide.",
  },
  STOP_FORBIDDEN: {
    status: 403,
    title: "You may not change this stop.",
    action:
      "Stop your own channels or your own copies. Only an administrator lifts an administrator's stop.",
  },
  DESK_USER_MISSING: {
    status: 403,
    title: "You have no desk user: the name of a desk user has only letters and digits.",
    action: "Sign in as a person whose id is letters and digits.",
  },
  ROUTE_UNKNOWN: {
    status: 404,
    title: "There is nothing at this address.",
    action: "See `/openapi.json` for all addresses.",
  },
  SIGNAL_UNKNOWN: {
    status: 404,
    title: "No such signal, or it is not in one of your channels.",
    action: "Check the id in the answer to your signal.",
  },
  SUBSCRIPTION_UNKNOWN: {
    status: 404,
    title: "No such subscription, or it is not yours.",
    action: "Check the id in your list of subscriptions.",
  },
  SETTINGS_UNKNOWN: {
    status: 404,
    title: "No such scope of settings, or you may not see it.",
    action: "Use `platform`, or `provider:`, `channel:` or `follower:` with an id.",
  },
  STOP_UNKNOWN: {
    status: 404,
    title: "No such scope of stops, or you may not see it.",
    action: "Use `platform`, or `channel:`, `provider:`, `follower:` or `broker:` with an id.",
  },
  CHANNEL_UNKNOWN: {
    status: 404,
    title: "No such channel.",
    action: "Check the id in the list of channels.",
  },
  DESK_USER_UNKNOWN: {
    status: 404,
    title: "The desk has no account of this user yet.",
    action: "Add money: that opens the account.",
  },
  HOOK_UNKNOWN: {
    status: 404,
    title: "No such hook, or its secret is wrong.",
    action: "Copy the hook's URL again; after a rotation the old URL no longer works.",
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: "This address does not take this method.",
    action: "See the `Allow` header and `/openapi.json`.",
  },
  IDEMPOTENCY_CONFLICT: {
    status: 409,
    title: "This idempotency key was used with another body.",
    action: "Use a new key for a new request; repeat the same body to get the first answer again.",
  },
  SUBSCRIPTION_EXISTS: {
    status: 409,
    title: "The account already follows this channel with another subscription.",
    action: "Change that subscription, or end it first.",
  },
  SUBSCRIPTION_LIMIT: {
    status: 409,
    title: "You have as many live subscriptions as one person may have.",
    action: "End one of them first.",
  },
  VERSION_STALE: {
    status: 412,
    title: "The resource has changed since the version that the request names.",
    action: "Read it again, and send the change with its new `ETag` as `If-Match`.",
  },
  BODY_TOO_LARGE: {
    status: 413,
    title: "The body is larger than this address takes.",
    action: "Send less at once: at most 16 KiB, or 512 KiB to a desk server.",
  },
  BODY_TYPE_UNSUPPORTED: {
    status: 415,
    title: "This address does not take the body's content type.",
    action: "Send `application/json`; TradingView hooks take `text/plain` too.",
  },
  BODY_INVALID: {
    status: 422,
    title: "The body does not have the required shape.",
    action: "See `faults` for each field and its allowed values.",
  },
  CLOSE_TOO_LARGE: {
    status: 422,
    title: "More signals have positions open than one close takes.",
    action: "Close them one by one, with `signal`.",
  },
  BROKER_ACCOUNT_UNKNOWN: {
    status: 422,
    title: "No such broker account, or it is not yours.",
    action: "Connect the account first, or check its id.",
  },
  SYMBOL_UNKNOWN: {
    status: 422,
    title: "This symbol is not traded here.",
    action:
      "Use one of the channel's symbols. For quotes, use a streamed symbol or one to three capital letters.",
  },
  WEBHOOK_STALE: {
    status: 422,
    title: "The webhook's time is too old or in the future.",
    action: "Send `{{timenow}}` as `time`, at most a minute ago; a late alert is not traded.",
  },
  TRADING_HALTED: {
    status: 423,
    title: "Trading is halted.",
    action: "Wait until the halt is lifted, then send a new signal.",
  },
  TRADING_DRAINED: {
    status: 423,
    title: "Trading is being drained: no new positions are opened.",
    action: "Wait until the drain is lifted, then send a new signal.",
  },
  UPGRADE_REQUIRED: {
    status: 426,
    title: "This address speaks WebSocket only.",
    action: "Connect with a WebSocket client.",
  },
  SOCKET_FULL: {
    status: 429,
    title: "Too many signals of this socket are in progress.",
    action: "Wait until some of them are complete, or send them by POST.",
  },
  SIGN_IN_LIMITED: {
    status: 429,
    title: "Too many attempts to sign in.",
    action: "Wait a minute, then try again.",
  },
  CHANGES_LIMITED: {
    status: 429,
    title: "Too many changes within a minute.",
    action: "Wait a minute, then try again.",
  },
  DESK_LINES_LIMITED: {
    status: 429,
    title: "You have sent the desk more lines than one user may send in this time.",
    action: "Wait a few seconds, then try again.",
  },
  INTERNAL: {
    status: 500,
    title: "Something went wrong on our side.",
    action: "Try again with the same idempotency key. Report the error if it continues.",
  },
  STORE_UNAVAILABLE: {
    status: 503,
    title: "The signal store does not answer.",
    action: "Try again with the same idempotency key: the request takes effect only once.",
  },
  STORE_MISMATCHED: {
    status: 503,
    title: "The signal store is set up for a different configuration than this server.",
    action:
      "Report the error; nothing was accepted. The edge's log tells the operator which `FANFARE_PARTITIONS`, or which release, the server needs.",
  },
  STORE_UNFILLED: {
    status: 503,
    title:
      "The signal store is empty and is being filled from the records: this signal was not accepted.",
    action:
      "Try again after `Retry-After`. Idempotency keys from before the loss are forgotten: if a request may have been answered before, look for its signal first.",
  },
  BACKLOG_FULL: {
    status: 503,
    title: "Too many signals wait to be dispatched or recorded: this signal was not accepted.",
    action: "Try again after `Retry-After`; signals that were answered 202 are not affected.",
  },
  EDGE_BUSY: {
    status: 503,
    title: "Too many signals are being accepted at this moment: this signal was not accepted.",
    action: "Try again after `Retry-After`, with the same idempotency key.",
  },
  QUOTE_UNAVAILABLE: {
    status: 503,
    title: "There is no recent quote for this symbol.",
    action: "Try again in a moment. If the error continues, the quote source does not answer.",
  },
  DESK_UNAVAILABLE: {
    status: 503,
    title: "No desk server answers.",
    action: "Try again in a moment; nothing was done.",
  },
  STOP_UNCONFIRMED: {
    status: 503,
    title: "Not every partition has confirmed the change. It applies in those that have.",
    action: "Send it again: it changes the remaining partitions.",
  },
  RECORDS_UNAVAILABLE: {
    status: 503,
    title: "The records do not answer.",
    action: "Try again in a moment; trading is not affected.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One field or header of a request and what is wrong with it. Never holds the value itself. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

/** An RFC 9457 problem document. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly faults?: readonly Fault[];
}

export function problemOf(code: ErrorCode, faults?: readonly Fault[]): Problem {
  const { status, title, action } = ERRORS[code];
  return {
    type: `https://fanfare.dev/problems/${code.toLowerCase().replaceAll("_", "-")}`,
    title,
    status,
    code,
    detail: action,
    ...(faults && faults.length > 0 ? { faults } : {}),
  };
}
