/**
 * One-shot, for whoever runs the system: prints a bearer token for a person,
 * signed as those of people who sign in are, with the scopes that nobody gets
 * by signing in too. It is good for twelve hours, and cannot be taken back.
 *
 *     npm run token -- <person> desk:trade desk:admin
 *
 * Ends with 2 where the words cannot be read.
 */
import { ID_PATTERN, type PersonId } from "../../domain/ids.ts";
import { SCOPES, type Scope } from "../../domain/permission.ts";
import { required } from "../runtime/env.ts";
import { createTokens } from "../api/tokens.ts";
import type { Role } from "../runtime/role.ts";

const USAGE = `usage: token <person> <scope> [<scope> …]
A person is an id, and a scope one of ${SCOPES.join(", ")}.`;

export const role: Role = async (env) => {
  const [person = "", ...scopes] = process.argv.slice(3);
  if (!ID_PATTERN.test(person) || scopes.length === 0 || !scopes.every(isScope)) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const tokens = await createTokens(required(env, "FANFARE_ISSUER_KEY"), Date.now);
  const { token } = await tokens.issue(person as PersonId, scopes);
  console.log(token);
};

function isScope(word: string): word is Scope {
  return SCOPES.some((scope) => scope === word);
}
