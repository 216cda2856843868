/**
 * Drives a desk with the lines of a file as their users would: each user's in
 * their order, the next when the reply to the one before is there, many users
 * at once over a few connections. No more of the file is held than a window.
 */
import { Connection, type DeskAddress, type Flight } from "./connection.ts";
import { workloadLine, type WorkloadLine } from "./line.ts";
import { readLines } from "./read-lines.ts";
import { Tally } from "./tally.ts";

export interface DriveOptions {
  readonly file: string;
  readonly address: DeskAddress;
  readonly connections: number;
  /** Lines leave at the times of this schedule, whatever became of those before, and latencies count from it: an open model. */
  readonly ratePerSecond?: number | undefined;
  /** About what share of the bytes that were read are answered. */
  readonly onProgress: (answered: number, answeredBytes: number) => void;
}

export interface Driven {
  readonly tally: Tally;
  /** From the first line that was sent to the last reply. */
  readonly seconds: number;
  readonly users: ReadonlySet<string>;
}

/** The desk has not answered for so long that nobody would wait on. */
export class DeskDead extends Error {}

/** Lines that are read and not answered. */
const WINDOW = 100_000;
/** What is gone on with when this many are left, so that reading and answering do not wait for each other. */
const REFILL = WINDOW / 2;
/** Of a user who always has a next line, those that have left are forgotten now and then. */
const COMPACTED_AFTER = 64;
const PROGRESS_MS = 200;

interface User {
  readonly connection: Connection<User>;
  readonly waiting: WorkloadLine[];
  /** How many of `waiting` have left. */
  taken: number;
  busy: boolean;
}

/** Rejects with `DeskDead`, and as reading the file does. */
export async function drive(options: DriveOptions): Promise<Driven> {
  const tally = new Tally();
  const users = new Map<string, User>();
  let open = 0;
  let readBytes = 0;
  let wakeAt = 0;
  const { promise: dead, reject } = Promise.withResolvers<never>();
  // Whoever drives hears of it by the race below.
  dead.catch(() => {});
  let wake = (): void => {};

  const connections = Array.from(
    { length: options.connections },
    (_, first) =>
      new Connection<User>({
        ...{ address: options.address, first, onReply },
        onDead: () => reject(new DeskDead()),
      }),
  );

  function onReply({ line, owner, sentAtMs }: Flight<User>, code: string, atMs: number): void {
    tally.add(tally.countOf(line.name), code, atMs - sentAtMs);
    open -= 1;
    owner.busy = false;
    sendNext(owner, atMs);
    if (open <= wakeAt) wake();
  }

  function sendNext(user: User, nowMs: number): void {
    const next = user.waiting[user.taken];
    if (next === undefined) {
      user.waiting.length = 0;
      user.taken = 0;
      return;
    }
    user.taken += 1;
    user.busy = true;
    if (user.taken === COMPACTED_AFTER) user.waiting.splice(0, user.taken);
    user.taken %= COMPACTED_AFTER;
    user.connection.put(next, user, nowMs);
  }

  function findUser(line: WorkloadLine): User {
    let user = users.get(line.user);
    if (!user) {
      const connection = connections[users.size % connections.length] as Connection<User>;
      user = { connection, waiting: [], taken: 0, busy: false };
      users.set(line.user, user);
    }
    return user;
  }

  function add(line: WorkloadLine): void {
    const user = findUser(line);
    open += 1;
    user.waiting.push(line);
    if (!user.busy) sendNext(user, performance.now());
  }

  /** The order of a user's lines is that of their connection. */
  async function addAt(line: WorkloadLine, dueAtMs: number): Promise<void> {
    if (performance.now() < dueAtMs) flush();
    while (performance.now() < dueAtMs) await Promise.race([Bun.sleep(1), dead]);
    open += 1;
    const user = findUser(line);
    user.connection.put(line, user, dueAtMs);
  }

  function flush(): void {
    for (const each of connections) each.flush();
  }

  /** Until no more than this many lines are without an answer. */
  async function answered(left: number): Promise<void> {
    flush();
    if (open <= left) return;
    const woken = new Promise<void>((resolve) => {
      wakeAt = left;
      wake = resolve;
    });
    await Promise.race([woken, dead]);
  }

  const progress = setInterval(() => {
    const { answered } = tally;
    options.onProgress(answered, (readBytes * answered) / Math.max(1, answered + open));
  }, PROGRESS_MS);
  const startedAtMs = performance.now();
  try {
    let n = 0;
    for await (const piece of readLines(options.file)) {
      ({ readBytes } = piece);
      for (const raw of piece.lines) {
        const line = workloadLine(raw, n + 1);
        if (!line) continue;
        n += 1;
        if (line.user === "") await answered(0);
        if (options.ratePerSecond === undefined) add(line);
        else await addAt(line, startedAtMs + (n * 1_000) / options.ratePerSecond);
        if (line.user === "") await answered(0);
      }
      await answered(open > WINDOW ? REFILL : open);
    }
    await answered(0);
  } finally {
    clearInterval(progress);
    for (const each of connections) each.close();
  }
  users.delete("");
  const seconds = (performance.now() - startedAtMs) / 1_000;
  return { tally, seconds, users: new Set(users.keys()) };
}
