/**
 * Why the desk refuses a command: a stable code and its public sentence. A refused command
 * is an errorEvent in the audit. It changes nothing except what `docs/DESK.md` says it
 * consumes.
 */
export const DESK_REFUSALS = {
  LINE_TOO_LONG: "The line is longer than 1,024 bytes.",
  LINE_NOT_TEXT: "The line holds something that is not printable ASCII.",
  COMMAND_UNKNOWN: "There is no such command; commands are written in capitals.",
  ARGUMENTS_WRONG: "The command takes another number of arguments.",
  USER_INVALID: "A user is 1 to 64 letters and digits.",
  SYMBOL_INVALID: "A symbol is one to three capitals.",
  AMOUNT_INVALID: "An amount is above zero, at most 10000000000.00, with two decimals.",
  FILE_INVALID: "A file is named by letters, digits, dots, dashes and underscores, without a path.",
  USER_UNKNOWN: "There is no such user yet: ADD makes one.",
  USER_FORBIDDEN: "You may command your own desk user alone.",
  BALANCE_TOO_LOW: "The balance does not cover the amount.",
  BALANCE_TOO_HIGH: "The balance would exceed what an account can hold.",
  SHARES_TOO_FEW: "Fewer shares are owned than that.",
  SHARES_TOO_MANY: "The shares would exceed what an account can hold.",
  QUOTE_UNAVAILABLE: "There is no quote of this symbol that is valid.",
  QUOTE_ABOVE_AMOUNT: "The amount does not pay for one share.",
  PRICE_ABOVE_AMOUNT: "The trigger's price is above the amount that was set.",
  PENDING_TOO_MANY: "A hundred orders are pending already: commit or cancel some.",
  BUY_NOT_PENDING: "No buy of the last sixty seconds is pending.",
  SELL_NOT_PENDING: "No sell of the last sixty seconds is pending.",
  BUY_AMOUNT_NOT_SET: "No buy amount is set for this symbol.",
  SELL_AMOUNT_NOT_SET: "No sell amount is set for this symbol.",
  COMMAND_OVERTAKEN: "A command with a higher number was done already in this session.",
  COMMAND_NUMBER_REUSED:
    "The number was used in this session for another command. Nothing was done: send this one with a higher number.",
  LINES_TOO_MANY:
    "You have sent more lines than a user may in this time. This one was not taken: send it again in a few seconds.",
  DUMP_FORBIDDEN: "No log is written to a file for you. GET /v1/desk/log streams it.",
  DUMP_FULL:
    "The log does not fit into the folder of dumps. Remove files there, or GET /v1/desk/log, which streams it.",
  DUMP_FAILED: "The log could not be written.",
  DESK_UNAVAILABLE: "No desk server answers: the command was not done. Try again in a moment.",
  OUTCOME_UNKNOWN:
    "The desk did not answer: the command may have been done. Sent again with its number in the same session it is done once.",
} as const;
export type DeskRefusal = keyof typeof DESK_REFUSALS;
