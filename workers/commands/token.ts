/**
 * One-shot, for the operator: prints a bearer token for a person. It is signed like the token of a
 * person who signs in, and may have permissions that signing in never gives. It is valid for twelve
 * hours and cannot be revoked.
 *
 *     npm run token -- <person> desk:trade desk:admin
 *
 * Exits with 2 if the arguments cannot be read.
 */
import { ID_PATTERN, type PersonId } from "../../domain/ids.ts";
import * as v from "valibot";
import { PERMISSIONS, type Permission } from "../../domain/permission.ts";
import { createTokens } from "../api/tokens.ts";
import { ISSUER } from "../runtime/env.ts";
import { WordsError, type Command } from "./command.ts";

const USAGE = `usage: token <person> <permission> [<permission> …]
A person is an id, and a permission one of ${PERMISSIONS.join(", ")}.`;

interface Asked {
  readonly person: PersonId;
  readonly permissions: readonly Permission[];
}

const TokenEnv = v.object({ ...ISSUER });

export const command: Command<typeof TokenEnv, Asked> = {
  description: "prints a bearer token for a person, valid for twelve hours",
  usage: USAGE,
  exits: {
    0: "the token is printed",
    1: "it could not be signed",
    2: "the words or the settings cannot be read",
  },
  settings: TokenEnv,
  failure: { says: "the token could not be issued", exit: 1 },
  declare: (words) =>
    words
      .argument("<person>", "an id")
      .argument("<permission...>", `one or more of ${PERMISSIONS.join(", ")}`),
  read({ args: [person = "", ...permissions] }) {
    if (!ID_PATTERN.test(person) || !permissions.every(isPermission)) throw new WordsError();
    return { person: person as PersonId, permissions };
  },
  async run({ settings, clock }, { person, permissions }) {
    const tokens = await createTokens(settings.FANFARE_ISSUER_KEY, clock.nowMs);
    console.log((await tokens.issue(person, permissions)).token);
    return 0;
  },
};

function isPermission(word: string): word is Permission {
  return PERMISSIONS.some((permission) => permission === word);
}
