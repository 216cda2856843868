/** The README's examples can be copied and work. */
import { expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";

test("the README's signing example sends a valid Standard Webhooks request", async () => {
  const readme = await Bun.file("README.md").text();
  const example = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)]
    .map((match) => match[1] ?? "")
    .find((block) => block.includes("webhook-signature"));
  const secret = `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("base64")}`;
  const received = Promise.withResolvers<unknown>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const headers = Object.fromEntries(request.headers);
      try {
        received.resolve(new Webhook(secret).verify(await request.text(), headers));
      } catch (error) {
        received.reject(error);
      }
      return new Response(null, { status: 202 });
    },
  });
  try {
    const script = (example ?? "")
      .replace(/^HOOK=.*$/m, `HOOK='${server.url.href}'`)
      .replace(/^SECRET=.*$/m, `SECRET='${secret}'`);
    expect(await Bun.spawn(["bash", "-euc", script], { stderr: "ignore" }).exited).toBe(0);
    expect(await received.promise).toMatchObject({ symbol: "EUR/USD", contract: "CALL" });
  } finally {
    await server.stop(true);
  }
});
