/**
 * A stand-in for a real broker, as a separate process with its own books: `bun
 * tests/fake-broker/main.ts '{"port":9000,"book":"/tmp/book",…}'`. It speaks the protocol of
 * `workers/copier/brokers/http`, misbehaves as configured and by its seed, and prints `ready` once
 * it listens. Verdicts are read from its book.
 */
import { createServer, type Server } from "node:http";
import { served, type Call } from "./call.ts";
import { OpenCalls } from "./open-calls.ts";
import { NO_FAULTS, createRandom, type FakeBrokerSettings, type Faults } from "./settings.ts";
import { PAYOUT_BP, Venue, type Batch, type Closing } from "./venue.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as FakeBrokerSettings;
const venue = new Venue(settings);
const openCalls = new OpenCalls();
const random = createRandom(settings.seed);
let faults: Faults = NO_FAULTS;

/** How long an empty page of settlements is delayed. */
const SETTLEMENTS_WAIT_MS = 500;

const broker = createServer(served(trade));
const control = createServer(served(obey));

/** The test's control port, which stays open while the broker is dead. */
async function obey({ asked, body, answer }: Call): Promise<void> {
  if (asked === "POST /faults") {
    faults = { ...NO_FAULTS, ...(body as Partial<Faults>) };
    if (faults.dead) await die();
    else await live();
  } else if (asked === "POST /open-calls") {
    answer({ most: openCalls.most });
    openCalls.most = 0;
    return;
  } else {
    const { accounts, amountCents } = body as { accounts: string[]; amountCents: number };
    for (const each of accounts) {
      venue.balances.set(each, (venue.balances.get(each) ?? 0) + amountCents);
    }
  }
  answer({});
}

async function trade({ asked, query, body, answer, response }: Call): Promise<void> {
  switch (asked) {
    case "POST /orders": {
      const batch = body as Batch;
      const accounts = batch.orders.map(({ account }) => account);
      await openCalls.hold(accounts, () =>
        answerTrade({ answer, response }, (share) => venue.open(batch, share)),
      );
      break;
    }
    case "GET /orders":
      answer({ answers: venue.list(`${query.get("signal")}.`) });
      break;
    case "POST /orders/lookup":
      answer({ answers: venue.lookUp(body as Batch) });
      break;
    case "POST /orders/close":
      await answerTrade({ answer, response }, () => venue.close(body as Closing));
      break;
    case "POST /orders/closed":
      answer({ answers: venue.findClosed(body as Closing) });
      break;
    case "POST /balances": {
      const { accounts } = body as { accounts: string[] };
      answer({ answers: accounts.map((each) => venue.balances.get(each) ?? null) });
      break;
    }
    case "POST /payouts":
      answer({ answers: (body as { symbols: string[] }).symbols.map(() => PAYOUT_BP) });
      break;
    case "GET /settlements": {
      const after = Number(query.get("after") ?? "");
      if (venue.settlements.length === after) await Bun.sleep(SETTLEMENTS_WAIT_MS);
      const settlements = venue.settlements.slice(after);
      answer({ next: String(venue.settlements.length), settlements });
      break;
    }
    default:
      response.statusCode = 404;
      answer({});
  }
}

/** Opens and closes fail in the same ways. */
async function answerTrade(
  { answer, response }: Pick<Call, "answer" | "response">,
  book: (partial: number) => unknown[],
): Promise<void> {
  // Drawn in a fixed order, so that one more or one less fault does not change all others.
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
  const answers = book(now.partial);
  if (silent < now.silent) return;
  if (after < now.resetAfter) {
    response.socket?.destroy();
    return;
  }
  if (afterMs > 0) await Bun.sleep(afterMs);
  answer({ answers });
}

async function die(): Promise<void> {
  if (!broker.listening) return;
  const closed = Promise.withResolvers<undefined>();
  broker.close(() => {
    closed.resolve(undefined);
  });
  broker.closeAllConnections();
  await closed.promise;
}

async function live(): Promise<void> {
  if (!broker.listening) await listen(broker, settings.port);
}

async function listen(server: Server, port: number): Promise<void> {
  const listening = Promise.withResolvers<undefined>();
  server.listen(port, "127.0.0.1", () => {
    listening.resolve(undefined);
  });
  await listening.promise;
}

await listen(control, settings.controlPort);
await live();
console.log("ready");
