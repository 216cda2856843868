/**
 * A desk's WebSocket as a client of many users: each line gets its own number, by which its reply
 * is found.
 */
import { parseReplies, type DeskReply, type DeskServer } from "./trading-desk.ts";

export interface DeskSocket {
  /** Rejects if the connection ends before the reply. */
  send(line: string): Promise<DeskReply>;
  close(): void;
}

export async function openDeskSocket(
  { url }: Pick<DeskServer, "url">,
  token: string,
): Promise<DeskSocket> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/desk/ws`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const waiting = new Map<number, PromiseWithResolvers<DeskReply>>();
  let numbers = 0;
  socket.addEventListener("message", ({ data }) => {
    for (const reply of parseReplies(String(data))) {
      waiting.get(reply.n ?? 0)?.resolve(reply);
      waiting.delete(reply.n ?? 0);
    }
  });
  socket.addEventListener("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("the desk hung up"));
    waiting.clear();
  });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error("the desk does not answer")));
  });
  return {
    send(line) {
      numbers += 1;
      const reply = Promise.withResolvers<DeskReply>();
      waiting.set(numbers, reply);
      socket.send(`[${numbers}] ${line}`);
      return reply.promise;
    },
    close: () => socket.close(),
  };
}
