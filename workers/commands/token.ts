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
import * as v from "valibot";
import { createTokens } from "../api/tokens.ts";
import { ISSUER } from "../runtime/env.ts";
import { WordsError, type Command } from "./command.ts";

const USAGE = `usage: token <person> <scope> [<scope> …]
A person is an id, and a scope one of ${SCOPES.join(", ")}.`;

interface Asked {
  readonly person: PersonId;
  readonly scopes: readonly Scope[];
}

const TokenEnv = v.object({ ...ISSUER });

export const command: Command<typeof TokenEnv, Asked> = {
  description: "prints a bearer token for a person, good for twelve hours",
  usage: USAGE,
  exits: {
    0: "the token is printed",
    1: "it could not be signed",
    2: "the words or the settings cannot be read",
  },
  settings: TokenEnv,
  failure: { says: "token could not go on", exit: 1 },
  declare: (words) =>
    words
      .argument("<person>", "an id")
      .argument("<scope...>", `one or several of ${SCOPES.join(", ")}`),
  read({ args: [person = "", ...scopes] }) {
    if (!ID_PATTERN.test(person) || !scopes.every(isScope)) throw new WordsError();
    return { person: person as PersonId, scopes };
  },
  async run({ settings, clock }, { person, scopes }) {
    const tokens = await createTokens(settings.FANFARE_ISSUER_KEY, clock.nowMs);
    console.log((await tokens.issue(person, scopes)).token);
    return 0;
  },
};

function isScope(word: string): word is Scope {
  return SCOPES.some((scope) => scope === word);
}
