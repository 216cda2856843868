import type { WorkerEnv } from "./env.ts";

/** A role runs until the signal aborts, and then resolves once nothing of it is under way. */
export type Role = (env: WorkerEnv, stop: AbortSignal, ready: () => void) => Promise<void>;
