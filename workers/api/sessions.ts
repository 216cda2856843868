/** Signing in, and the signed-in person. */
import * as v from "valibot";
import { deskUserOf } from "../../domain/desk/command.ts";
import { asId, type PersonId } from "../../domain/ids.ts";
import type { Permission } from "../../domain/permission.ts";
import { failure } from "../../domain/result.ts";
import { json } from "../../http/body.ts";
import { count, matching, text } from "../../http/field.ts";
import { reply } from "../../http/operation.ts";
import { sentChannels } from "./access.ts";
import type { Api, RecordsService } from "./api.ts";

const OF_EVERYONE: readonly Permission[] = ["signals:read", "records:read", "records:write"];

const Credentials = v.strictObject({
  email: matching(/^[^\s@]{1,64}@[^\s@]{1,189}$/, "must be an e-mail address"),
  password: text(256),
});
const Person = v.object({ id: v.string(), name: v.string() });
const Session = v.object({ token: v.string(), expiresAtMs: count, person: Person });

export function serveSessions(service: RecordsService, { records, tokens, signIn }: Api): void {
  service.serve({
    method: "POST",
    path: "/v1/sessions",
    operationId: "signIn",
    summary: "Sign in: a bearer token for at most twelve hours",
    body: json(Credentials),
    answers: { 201: { description: "Signed in.", body: Session } },
    problems: ["SIGN_IN_REFUSED", "SIGN_IN_LIMITED"],
    async handle({ body: { email, password } }) {
      const signedIn = await signIn(email, password);
      if (!signedIn.ok) return signedIn;
      const { _id, name } = signedIn.value;
      const person = asId<PersonId>(_id);
      const sends = (await sentChannels(records, person)).size > 0;
      const issued = await tokens.issue(person, [
        ...(sends ? (["signals:write"] as const) : []),
        ...(deskUserOf(person) === undefined ? [] : (["desk:trade"] as const)),
        ...OF_EVERYONE,
      ]);
      return reply({ ...issued, person: { id: _id, name } }, { status: 201 });
    },
  });

  service.serve({
    method: "GET",
    path: "/v1/people/me",
    operationId: "readMe",
    summary: "Who the token is for",
    permission: "records:read",
    answers: {
      200: {
        description: "The person.",
        body: v.object({ ...Person.entries, email: v.optional(v.string()) }),
      },
    },
    problems: [],
    async handle({ caller }) {
      const found = await records.people.get(caller.person);
      // The token is valid, but its person is no longer in the records.
      if (!found) return failure("TOKEN_INVALID");
      const { _id, name, email } = found;
      return reply({ id: _id, name, email });
    },
  });
}
