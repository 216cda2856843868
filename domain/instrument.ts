/** An instrument is what a symbol names: something that has a price and can be traded. */

/** `EUR/USD`, `R_100`, `AAPL`. */
export const SYMBOL_PATTERN = /^[A-Z0-9_]{1,12}(?:\/[A-Z0-9_]{1,12})?$/;
