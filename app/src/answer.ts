/**
 * How a request ended. `lost` means that no answer came, or none of ours:
 * whether the request took effect is then not known, and no caller may take it
 * for a refusal.
 */
import type { Problem } from "../../domain/error-codes.ts";

export type Answer<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "problem"; readonly problem: Problem }
  | { readonly kind: "lost" };
