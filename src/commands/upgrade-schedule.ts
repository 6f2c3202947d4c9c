/** `mk8s upgrade --schedule` and `--unschedule`, and what an unattended upgrade leaves in the cluster. */
import { Mk8sError, messageOf } from '../base/errors.ts'
import { KubeClient } from '../client/kube-client.ts'
import { CONFIG_MAPS } from '../client/resources.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { cronProblem } from '../kube/cron-schedule.ts'
import type { ConfigMap } from '../kube/types.ts'
import {
  LAST_RESULT,
  RESULT_DONE,
  SCHEDULE_NAME,
  SCHEDULE_NAMESPACE,
  type UpgradeSchedule,
} from '../runtime/upgrade/upgrade-schedule.ts'
import { administratorOf } from './administrator.ts'

const AT = { namespace: SCHEDULE_NAMESPACE, name: SCHEDULE_NAME }
const MANAGER = 'mk8s-upgrade'

async function withClient<T>(config: NodeConfig, use: (client: KubeClient) => Promise<T>): Promise<T> {
  if (config.role === 'worker')
    throw new Mk8sError('refused', 'a worker keeps no schedules', { hint: 'run the command on a server' })
  const transport = await administratorOf(config)
  try {
    return await use(new KubeClient(transport))
  } finally {
    transport.close()
  }
}

export function setSchedule(config: NodeConfig, schedule: UpgradeSchedule): Promise<ConfigMap> {
  const problem = cronProblem(schedule.cron)
  if (problem !== null) throw new Mk8sError('usage', `--schedule ${schedule.cron}: ${problem}`)
  const { cron, timeZone, windowSeconds, from, channel } = schedule
  const object = {
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: AT },
    data: { cron, timeZone, windowSeconds: String(windowSeconds), from, channel },
  }
  return withClient(config, client =>
    client.apply<ConfigMap>(CONFIG_MAPS, object, { fieldManager: MANAGER, force: true }),
  )
}

export const removeSchedule = (config: NodeConfig): Promise<void> =>
  withClient(config, client => client.delete(CONFIG_MAPS, AT))

/** Resolves or rejects as `work` does; how it ended is kept for `mk8s status`. */
export async function unattended(config: NodeConfig, work: () => Promise<number>): Promise<number> {
  const tell = (result: string) =>
    withClient(config, client =>
      client.patch<ConfigMap>(CONFIG_MAPS, {
        ...{ ...AT, type: 'merge' as const },
        patch: { metadata: { annotations: { [LAST_RESULT]: result } } },
      }),
    ).catch(() => {})
  try {
    const code = await work()
    await tell(RESULT_DONE)
    return code
  } catch (error) {
    const why = error instanceof Mk8sError ? (error.why ?? '') : ''
    await tell([messageOf(error), why].filter(text => text !== '').join(': '))
    throw error
  }
}
