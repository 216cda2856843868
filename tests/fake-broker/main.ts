/**
 * A broker that cannot be had, as a process of its own with its own books:
 * `bun tests/fake-broker/main.ts '{"port":9000,"book":"/tmp/book",…}'`. It
 * speaks what `workers/brokers/http` does, misbehaves as told and by its seed,
 * and prints `ready` once it listens. The book is what verdicts are read from.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Crowd } from "./crowd.ts";
import { NO_FAULTS, randomOf, type FakeBrokerSettings, type Faults } from "./settings.ts";
import { PAYOUT_BP, Venue, type Batch } from "./venue.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as FakeBrokerSettings;
const venue = new Venue(settings);
const crowd = new Crowd();
const random = randomOf(settings.seed);
let faults: Faults = NO_FAULTS;

/** How long an empty page of settlements is held back. */
const SETTLEMENTS_WAIT_MS = 500;

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const text = Buffer.concat(parts).toString();
    void serve(request, response, text === "" ? {} : JSON.parse(text));
  });
});

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  body: unknown,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://fake");
  const answer = (value: unknown): void => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(value));
  };
  if (pathname === "/control/faults") {
    faults = { ...NO_FAULTS, ...(body as Partial<Faults>) };
    answer({});
    return;
  }
  if (pathname === "/control/deposits") {
    const { accounts, amountCents } = body as { accounts: string[]; amountCents: number };
    for (const each of accounts) {
      venue.balances.set(each, (venue.balances.get(each) ?? 0) + amountCents);
    }
    answer({});
    return;
  }
  if (pathname === "/control/crowd") {
    answer({ most: crowd.most });
    crowd.most = 0;
    return;
  }
  if (faults.dead) return;
  if (pathname === "/orders" && request.method === "POST") {
    const batch = body as Batch;
    const accounts = batch.orders.map(({ account }) => account);
    await crowd.hold(accounts, () => open(response, answer, batch));
  } else if (pathname === "/orders") {
    answer({ answers: venue.list(`${searchParams.get("signal")}.`) });
  } else if (pathname === "/orders/lookup") {
    answer({ answers: venue.lookUp(body as Batch) });
  } else if (pathname === "/balances") {
    const { accounts } = body as { accounts: string[] };
    answer({ answers: accounts.map((each) => venue.balances.get(each) ?? null) });
  } else if (pathname === "/payouts") {
    answer({ answers: (body as { symbols: string[] }).symbols.map(() => PAYOUT_BP) });
  } else if (pathname === "/settlements") {
    const after = Number(searchParams.get("after") ?? "");
    if (venue.settlements.length === after) await Bun.sleep(SETTLEMENTS_WAIT_MS);
    answer({ next: String(venue.settlements.length), settlements: venue.settlements.slice(after) });
  } else {
    response.statusCode = 404;
    answer({});
  }
}

async function open(
  response: ServerResponse,
  answer: (value: unknown) => void,
  batch: Batch,
): Promise<void> {
  // Drawn in a fixed order, so that one fault more or less does not move all others.
  const [busy, before, after, silent] = [random(), random(), random(), random()];
  const [beforeMs, afterMs] = [random() * faults.beforeMs, random() * faults.afterMs];
  const now = faults;
  if (busy < now.busy) {
    response.statusCode = 429;
    response.setHeader("retry-after", String(now.retryAfterMs / 1000));
    answer({});
    return;
  }
  if (beforeMs > 0) await Bun.sleep(beforeMs);
  if (before < now.resetBefore) {
    response.socket?.destroy();
    return;
  }
  const answers = venue.open(batch);
  if (silent < now.silent) return;
  if (after < now.resetAfter) {
    response.socket?.destroy();
    return;
  }
  if (afterMs > 0) await Bun.sleep(afterMs);
  answer({ answers });
}

server.listen(settings.port, "127.0.0.1", () => {
  console.log("ready");
});
