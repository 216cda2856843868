/**
 * One-shot, for whoever runs the system: prints a bearer token for a person,
 * signed as those of people who sign in are, with the permissions that nobody gets
 * by signing in too. It is good for twelve hours, and cannot be taken back.
 *
 *     npm run token -- <person> desk:trade desk:admin
 *
 * Ends with 2 where the words cannot be read.
 */
import { ID_PATTERN, type PersonId } from "../../domain/ids.ts";
import { PERMISSIONS, type Permission } from "../../domain/permission.ts";
import { required } from "../runtime/env.ts";
import { createTokens } from "../api/tokens.ts";
import type { Role } from "../runtime/role.ts";

const USAGE = `usage: token <person> <permission> [<permission> …]
A person is an id, and a permission one of ${PERMISSIONS.join(", ")}.`;

export const role: Role = async (env) => {
  const [person = "", ...permissions] = process.argv.slice(3);
  if (!ID_PATTERN.test(person) || permissions.length === 0 || !permissions.every(isPermission)) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const tokens = await createTokens(required(env, "FANFARE_ISSUER_KEY"), Date.now);
  const { token } = await tokens.issue(person as PersonId, permissions);
  console.log(token);
};

function isPermission(word: string): word is Permission {
  return PERMISSIONS.some((permission) => permission === word);
}
