/**
 * A broker that takes 20 ms for an order: a process in front of the desk that delays each call for
 * as long as its orders take, eight at a time, as a broker handles the orders of one connection.
 * The books are the desk's.
 */
import type { OrderBatchBody } from "../workers/venues/desk/api.ts";

const ORDER_MS = 20;
const AT_ONCE = 8;

const [port = "", desk = ""] = process.argv.slice(2);
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 60,
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const body = request.method === "POST" ? await request.text() : undefined;
    if (pathname === "/v1/contracts" && body !== undefined) {
      const { orders } = JSON.parse(body) as OrderBatchBody;
      await Bun.sleep(Math.ceil(orders.names.length / AT_ONCE) * ORDER_MS);
    }
    return await fetch(`${desk}${pathname}${search}`, {
      method: request.method,
      headers: request.headers,
      ...(body === undefined ? {} : { body }),
    });
  },
});
console.log("ready");
