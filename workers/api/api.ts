/** The parts of the records API; a test passes its own. */
import type { PersonId } from "../../domain/ids.ts";
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
  /** Whether a person may make a change now; counts the change. */
  mayChange(person: PersonId): boolean;
  clock(): number;
}
