/** A control plane that suffers for a while comes to what the specs ask for, whatever the order of its faults. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAEMON_SETS, DEPLOYMENTS, JOBS, STATEFUL_SETS } from '../../../src/client/resources.ts'
import type { Pod } from '../../../src/kube/types.ts'
import { until } from '../../support/until.ts'
import { COMPLETIONS, NAMESPACE } from './workloads.ts'
import { World } from './world.ts'

/** `MK8S_TEST_SEEDS=3,4 MK8S_TEST_STEPS=60` tries others, for longer. */
const SEEDS = (process.env['MK8S_TEST_SEEDS'] ?? '1,2').split(',').map(Number)
const STEPS = Number(process.env['MK8S_TEST_STEPS'] ?? 16)

const of = (pods: readonly Pod[], app: string) => pods.filter(pod => pod.metadata.labels?.['app'] === app)

/** What is not yet as it is wanted; empty in the end. */
async function missing(world: World): Promise<string[]> {
  const { client, wanted } = world
  const place = (name: string) => ({ namespace: NAMESPACE, name })
  const [web, db, agent, work, pods] = await Promise.all([
    client.get(DEPLOYMENTS, place('web')),
    client.get(STATEFUL_SETS, place('db')),
    client.get(DAEMON_SETS, place('agent')),
    client.get(JOBS, place('work')),
    world.pods(),
  ])
  const nodes = world.nodeNames()
  const status = (object: object) => (object as { status?: Record<string, unknown> }).status ?? {}
  const checks: readonly (readonly [what: string, is: unknown, wanted: unknown])[] = [
    ['ready replicas', status(web)['readyReplicas'], wanted.replicas],
    ['updated replicas', status(web)['updatedReplicas'], wanted.replicas],
    ['replicas', status(web)['replicas'], wanted.replicas],
    ['pods of the deployment', of(pods, 'web').length, wanted.replicas],
    ['ready members', status(db)['readyReplicas'], wanted.members],
    ['updated members', status(db)['updatedReplicas'], wanted.members],
    [
      'members',
      namesOf(of(pods, 'db')),
      Array.from({ length: wanted.members }, (_, each) => `db-${each}`).join(),
    ],
    ['ready agents', status(agent)['numberReady'], nodes.length],
    ['updated agents', status(agent)['updatedNumberScheduled'], nodes.length],
    ['nodes with agents', nodesOf(of(pods, 'agent')), nodes.join()],
    ['finished indexes', status(work)['completedIndexes'], `0-${COMPLETIONS - 1}`],
    [
      'versions',
      versionsOf(pods.filter(pod => pod.metadata.labels?.['app'] !== 'work')),
      String(wanted.version),
    ],
    ['pods on no node', pods.filter(pod => !nodes.includes(pod.spec?.nodeName ?? '')).length, 0],
    ['pods that have to go', pods.filter(pod => pod.metadata.deletionTimestamp !== undefined).length, 0],
  ]
  return checks.filter(([, is, want]) => is !== want).map(([what, is, want]) => `${what}: ${is}, not ${want}`)
}

const namesOf = (pods: readonly Pod[]) =>
  pods
    .map(({ metadata }) => metadata.name)
    .sort()
    .join()
const nodesOf = (pods: readonly Pod[]) =>
  pods
    .map(({ spec }) => spec?.nodeName)
    .sort()
    .join()
const versionsOf = (pods: readonly Pod[]) =>
  [...new Set(pods.map(({ spec }) => spec?.containers[0]?.env?.[0]?.value))].sort().join()

for (const seed of SEEDS) {
  test(`leaders change, watches break, nodes vanish, and it comes to what is asked for (seed ${seed})`, async t => {
    const world = await World.create(seed)
    t.after(() => world.close())
    await world.suffer(STEPS)
    await world.heal()
    let left: string[] = []
    const isThere = async () => {
      left = await missing(world)
      return left.length === 0
    }
    await until('what is asked for', isThere).catch(() => {
      assert.fail(`${left.join('; ')} after: ${world.trace.join(', ')}`)
    })
  })
}
