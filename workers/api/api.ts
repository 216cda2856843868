/** The parts of the records API; a test passes its own. */
import type { Scope } from "../../domain/copier/scope.ts";
import type { StopAction, StopAuthor } from "../../domain/copier/stop.ts";
import type { PersonId } from "../../domain/ids.ts";
import type { Written } from "../copier/roster/stops.ts";
import type { Records, SettingsRecord, SubscriptionRecord } from "../records/port.ts";
import type { SignIn } from "./sign-in.ts";
import type { Service } from "../../http/service.ts";
import type { Caller, Tokens } from "./tokens.ts";

/** What serves the operations of the records API. */
export type RecordsService = Service<Caller>;

export interface Api {
  readonly records: Records;
  readonly tokens: Tokens;
  readonly signIn: SignIn;
  /** Projects a recorded change to Redis. */
  project(changed: SubscriptionRecord): Promise<void>;
  projectSettings(changed: SettingsRecord): Promise<void>;
  /** Halts, drains or lifts, in every Redis first. */
  changeStop(scope: Scope, action: StopAction, author: StopAuthor): Promise<Written>;
  /** Whether a person may make a change now; counts the change. */
  mayChange(person: PersonId): boolean;
  /** The same of stops, counted by itself: who changed a lot may still stop. */
  mayStop(person: PersonId): boolean;
  clock(): number;
}
