/** A process that edits another tenant's plans at a rate, until it is killed: `editor.ts <redis> <folder> <followers> <plans a second>`. */
import { openTenant } from "../tests/support/tenant.ts";

const STEP_MS = 50;

const [url = "", folder = "", followers = "", rate = ""] = process.argv.slice(2);
const tenant = await openTenant(url, folder, Number(followers));
const plans = Math.max(1, Math.round((Number(rate) * STEP_MS) / 1_000));
const startedMs = performance.now();
console.log("ready");
for (let step = 1; ; step += 1) {
  await tenant.edit(plans);
  console.log(`edited ${plans}`);
  const leftMs = startedMs + step * STEP_MS - performance.now();
  if (leftMs > 0) await Bun.sleep(leftMs);
}
