/** Another tenant beside the demo channel: a provider with a channel and followers, who edit plans all the time. */
import { asId, type ChannelId, type PersonId } from "../../domain/ids.ts";
import { flushOutbox, projectSettingsNow } from "../../workers/copier/roster/outbox.ts";
import { targetsOf } from "../../workers/copier/roster/projector.ts";
import { recordSettings } from "../../workers/copier/roster/settings.ts";
import type { SubscriptionRecord } from "../../workers/records/port.ts";
import { openSqliteRecords } from "../../workers/records/sqlite/open.ts";
import { openConnections } from "../../workers/runtime/connections.ts";
import { followerOf, PARTITIONS } from "./copier.ts";

const CHANNEL = asId<ChannelId>("another");
/** Of ten plans that are edited, one is of settings. */
const SETTINGS_SHARE = 0.1;

export interface Tenant {
  /** Edits so many plans, of settings and of subscriptions, recorded and projected as the records API does. */
  edit(plans: number): Promise<void>;
  close(): Promise<void>;
}

export async function openTenant(
  redisUrl: string,
  folder: string,
  followers: number,
): Promise<Tenant> {
  const connections = await openConnections({
    FANFARE_REDIS_URL: redisUrl,
    FANFARE_PARTITIONS: PARTITIONS.count,
    FANFARE_REGION: "local",
  });
  const targets = targetsOf(connections);
  const records = openSqliteRecords(folder);
  let version = 0;
  let turn = 0;

  const subscriptionAt = (index: number): SubscriptionRecord => {
    const { id, ...rest } = followerOf(index, {
      channel: CHANNEL,
      version,
      follower: asId<PersonId>(`another-${index}`),
      plan: {
        sizing: {
          kind: "fixed",
          stakeCents: 100 + (version % 100),
        },
      },
    });
    return { _id: `another-${id}`, ...rest, outbox: true };
  };

  async function setPlan(): Promise<void> {
    const scopes = [
      `channel:${CHANNEL}`,
      "provider:another",
      `follower:another-${turn % followers}`,
    ];
    const scope = scopes[turn % scopes.length] as `channel:${string}`;
    const plan = { maxStakeCents: 1_000 + turn };
    const set = await recordSettings(records, scope, { plan, paused: false });
    if (!set.ok) throw new Error(set.code);
    await projectSettingsNow(records, targets, set.value);
  }

  async function edit(plans: number): Promise<void> {
    version += 1_000;
    const settings = Math.round(plans * SETTINGS_SHARE);
    for (let done = 0; done < settings; done += 1) {
      turn += 1;
      await setPlan();
    }
    const changed = Array.from({ length: plans - settings }, () => {
      turn += 1;
      return subscriptionAt(turn % followers);
    });
    await records.subscriptions.putNewer(changed);
    await flushOutbox(records, targets);
  }

  version = 1;
  const all = Array.from({ length: followers }, (_, index) => subscriptionAt(index));
  await records.subscriptions.putNewer(all);
  await flushOutbox(records, targets);
  return {
    edit,
    async close() {
      connections.close();
      await records.close();
    },
  };
}
