/**
 * Drives a desk with the lines of a file as their users would: each user's lines in order, the next
 * when the reply to the one before is there, many users at once over a few connections. Only a
 * window of the file is in memory.
 */
import { Connection, type DeskAddress, type Flight } from "./connection.ts";
import { workloadLine, type WorkloadLine } from "./line.ts";
import { readLines } from "./read-lines.ts";
import { Tally } from "./tally.ts";

export interface DriveOptions {
  readonly file: string;
  readonly address: DeskAddress;
  readonly connections: number;
  /**
   * Lines are sent at the times of this schedule, without waiting for earlier replies, and
   * latencies count from it: an open model.
   */
  readonly ratePerSecond?: number | undefined;
  /** The approximate share of the file whose lines are answered. */
  readonly onProgress: (answered: number, answeredBytes: number) => void;
}

export interface Driven {
  readonly tally: Tally;
  /** From the first line that was sent to the last reply. */
  readonly seconds: number;
  readonly users: ReadonlySet<string>;
}

/** The desk has not answered for too long. */
export class DeskDead extends Error {}

/** Lines that are read and not answered. */
const WINDOW = 100_000;
/**
 * Reading continues when this many are left, so that reading and answering do not wait for each
 * other.
 */
const REFILL = WINDOW / 2;
/** For a user who always has a next line, sent lines are removed from time to time. */
const COMPACTED_AFTER = 64;
const PROGRESS_MS = 200;

interface User {
  readonly connection: Connection<User>;
  readonly waiting: WorkloadLine[];
  /** How many of `waiting` were sent. */
  taken: number;
  busy: boolean;
}

/** Rejects with `DeskDead`, or with an error of reading the file. */
export async function drive(options: DriveOptions): Promise<Driven> {
  const tally = new Tally();
  const users = new Map<string, User>();
  let open = 0;
  let readBytes = 0;
  let wakeAt = 0;
  const { promise: dead, reject } = Promise.withResolvers<never>();
  // The caller learns of it by the race below.
  dead.catch(() => {});
  let wake = (): void => {};

  const connections = Array.from(
    { length: options.connections },
    (_, first) =>
      new Connection<User>({
        address: options.address,
        first,
        onReply,
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

  /** Waits until no more than this many lines are without an answer. */
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
