/** Real workloads, answers and schemas, which are not part of the project: `FANFARE_TEST_DATA` names their folder. */
import { join } from "node:path";

export const TEST_DATA =
  process.env["FANFARE_TEST_DATA"] ?? join(import.meta.dir, "../../../shared/data");
export const DAY_TRADING = join(TEST_DATA, "daytrading");
