/** The leader's duty to begin an unattended upgrade in its window: by a process that outlives this daemon. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { WakingLoop } from '../../base/waking-loop.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { CONFIG_MAPS } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import type { ConfigMap } from '../../kube/types.ts'
import {
  LAST_RESULT,
  LAST_WINDOW,
  parseUpgradeSchedule,
  planWindow,
  SCHEDULE_NAME,
  SCHEDULE_NAMESPACE,
  type UpgradeSchedule,
} from './upgrade-schedule.ts'

export interface UpgradeKeeperParts {
  readonly clusterId: string
  readonly read: () => ConfigMap | undefined
  readonly transport: Transport
  readonly term: number
  /** Begins `mk8s upgrade`, which is to begin with no node after `endMs`. */
  readonly begin: (schedule: UpgradeSchedule, endMs: number) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

const LOOK_MS = 30_000

export function createUpgradeKeeper(parts: UpgradeKeeperParts): Component {
  const { clock, log } = parts
  const loop = new WakingLoop({
    clock,
    look: () =>
      look(parts).catch(error => {
        log.warn('an unattended upgrade cannot be begun', { why: messageOf(error) })
        return LOOK_MS
      }),
  })
  return {
    name: 'upgrade-schedule',
    async prepare() {},
    async start() {
      loop.wake()
    },
    stop: () => loop.stop(),
    health: () => ({ ok: true, reason: '' }),
  }
}

/** What is begun is on record before, so that it happens once per window, whoever leads. */
async function look({ clusterId, read, transport, term, begin, clock, log }: UpgradeKeeperParts) {
  const found = read()
  const schedule = found === undefined ? null : parseUpgradeSchedule(found)
  if (found === undefined || schedule === null) return LOOK_MS
  const lastWindowMs = Date.parse(found.metadata.annotations?.[LAST_WINDOW] ?? '') || 0
  const plan = planWindow(schedule, { lastWindowMs, nowMs: clock.now(), jitter: jitterOf(clusterId) })
  if (plan.kind === 'wait') return plan.ms
  const annotations = { [LAST_WINDOW]: new Date(plan.windowMs).toISOString(), [LAST_RESULT]: '' }
  await new KubeClient(transport, { userAgent: 'mk8s/upgrade', term }).patch<ConfigMap>(CONFIG_MAPS, {
    ...{ namespace: SCHEDULE_NAMESPACE, name: SCHEDULE_NAME, type: 'merge' },
    patch: { metadata: { resourceVersion: found.metadata.resourceVersion, annotations } },
  })
  log.info('an unattended upgrade begins', { from: schedule.from, channel: schedule.channel })
  await begin(schedule, plan.endMs)
  return LOOK_MS
}

const jitterOf = (clusterId: string): number =>
  createHash('sha256').update(clusterId).digest().readUInt32BE(0) / 2 ** 32
