/** One-shot: checks the roster against the records, rebuilds what is missing, and ends. */
import type { Role } from "../runtime/role.ts";
import { openRecords } from "../records/open.ts";
import { checkRoster } from "../copier/roster/check.ts";
import { connectTargets } from "../copier/roster/projector.ts";

export const role: Role = async (env, _stop, ready) => {
  const records = await openRecords(env);
  const targets = connectTargets(env);
  await checkRoster(records, targets);
  ready();
  targets.close();
  await records.close();
};
