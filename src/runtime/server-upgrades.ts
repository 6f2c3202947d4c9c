/** Builds the leader's duty of unattended upgrades, and what `mk8s status` tells of them. */
import type { Component } from '../base/component.ts'
import type { Problem } from '../client/node-status.ts'
import type { ConfigMap } from '../kube/types.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import type { Shared } from './server-api.ts'
import { carryOn } from './upgrade/carry-on.ts'
import { createUpgradeKeeper } from './upgrade/schedule-keeper.ts'
import { LAST_RESULT, RESULT_DONE, SCHEDULE_NAME, SCHEDULE_NAMESPACE } from './upgrade/upgrade-schedule.ts'

const UPGRADE_USER = { username: 'mk8s:upgrade', groups: ['system:masters', 'system:authenticated'] }

type Objects = ApiServer['objects']

const readSchedule = (objects: Objects): ConfigMap | undefined =>
  (objects.get('', 'configmaps', SCHEDULE_NAMESPACE, SCHEDULE_NAME) as ConfigMap | null | undefined) ??
  undefined

export function upgradeKeeperOf({ config, clock, log }: Shared, server: ApiServer, term: number): Component {
  const { clusterId, dataDir } = config
  return createUpgradeKeeper({
    ...{ clusterId, term, clock },
    read: () => readSchedule(server.objects),
    transport: server.transportFor(UPGRADE_USER),
    log: log.child({ component: 'upgrade' }),
    begin: ({ from, channel }, endMs) =>
      carryOn(dataDir, [
        ...['--from', from, ...(channel === '' ? [] : ['--channel', channel])],
        ...['--unattended', '--until', String(endMs)],
      ]),
  })
}

export function upgradeProblems(objects: Objects): readonly Problem[] {
  const result = readSchedule(objects)?.metadata.annotations?.[LAST_RESULT] ?? ''
  if (result === '' || result === RESULT_DONE) return []
  return [
    {
      object: 'upgrade',
      reason: 'UnattendedUpgradeFailed',
      message: result,
      next: 'mk8s upgrade --from PLACE',
    },
  ]
}
