/** Signing in, and who one is. */
import type { Hono } from "hono";
import { deskUserOf } from "../../domain/desk/command.ts";
import { asId, type PersonId } from "../../domain/ids.ts";
import { sentChannels } from "./access.ts";
import type { Api } from "./api.ts";
import { reply, serve, serveAnyone } from "./operation.ts";
import { failure } from "../../domain/result.ts";
import type { Scope } from "../../domain/permission.ts";
import { PersonAnswer, SessionAnswer, SessionBody } from "./schemas.ts";

const OF_EVERYONE: readonly Scope[] = ["signals:read", "records:read", "records:write"];

export function serveSessions(app: Hono, { records, tokens, signIn }: Api): void {
  serveAnyone(
    app,
    {
      method: "POST",
      path: "/v1/sessions",
      operationId: "signIn",
      summary: "Sign in: a bearer token for at most twelve hours",
      body: SessionBody,
      answers: { 201: ["Signed in.", SessionAnswer] },
      problems: ["SIGN_IN_REFUSED", "SIGN_IN_LIMITED"],
    },
    async ({ body: { email, password } }) => {
      const signedIn = await signIn(email, password);
      if (!signedIn.ok) return signedIn;
      const { _id, name } = signedIn.value;
      const person = asId<PersonId>(_id);
      const sends = (await sentChannels(records, person)).size > 0;
      const { token, expiresAtMs } = await tokens.issue(person, [
        ...(sends ? (["signals:write"] as const) : []),
        ...(deskUserOf(person) === undefined ? [] : (["desk:trade"] as const)),
        ...OF_EVERYONE,
      ]);
      return reply({ token, expiresAt: expiresAtMs, person: { id: _id, name } }, 201);
    },
  );

  serve(
    app,
    tokens,
    "records:read",
    {
      method: "GET",
      path: "/v1/people/me",
      operationId: "readMe",
      summary: "Who the token is for",
      answers: { 200: ["The person.", PersonAnswer] },
      problems: [],
    },
    async (_call, { person }) => {
      const found = await records.people.get(person);
      // The token was signed here, for a person who is not on record any more.
      if (!found) return failure("TOKEN_INVALID");
      const { _id, name, email } = found;
      return reply({ id: _id, name, email });
    },
  );
}
