/** Two nodes as network namespaces: what one node's pod sends reaches the pod of the other, as itself. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import type { Component } from '../../src/base/component.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { NODES } from '../../src/client/resources.ts'
import { runProgram } from '../../src/host/programs.ts'
import type { Node } from '../../src/kube/types.ts'
import { createNodeRoutes } from '../../src/runtime/network/node-routes.ts'
import { whyNoNamespace } from '../support/containerd.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const skip = whyNoNamespace() ?? false
const nodes = [1, 2].map(index => ({
  name: `node-${index}`,
  space: `mk8s-r${index}-${process.pid}`,
  address: `10.77.9.${index}`,
  range: `10.88.${index}.0/24`,
  pod: `10.88.${index}.7`,
}))
const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
let cluster: InProcessCluster | undefined
const routes: Component[] = []

const ip = (space: string, ...args: string[]): string =>
  execFileSync('ip', ['-n', space, ...args], { encoding: 'utf8' })

/** Two machines on one wire, each with the address of a pod. */
function wire(): void {
  for (const { space } of nodes) execFileSync('ip', ['netns', 'add', space])
  ip(one.space, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', two.space)
  for (const { space, address, pod } of nodes) {
    ip(space, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    ip(space, 'addr', 'add', `${pod}/32`, 'dev', 'lo')
    for (const device of ['lo', 'eth0']) ip(space, 'link', 'set', device, 'up')
  }
}

const pings = async ({ space }: typeof one, from: string, to: string): Promise<boolean> => {
  const script =
    "const s=require('net').createConnection({host:process.argv[1],localAddress:process.argv[2],port:9});" +
    "s.on('error',e=>process.exit(e.code==='ECONNREFUSED'?0:1));setTimeout(()=>process.exit(2),3000)"
  const words = ['netns', 'exec', space, process.execPath, '-e', script, to, from]
  return (await runProgram('ip', words, { accept: 'any' })).exitCode === 0
}

const routesOf = ({ space }: typeof one) =>
  (
    JSON.parse(ip(space, '-j', 'route', 'show', 'proto', '77') || '[]') as { dst: string; gateway: string }[]
  ).map(({ dst, gateway }) => `${dst} ${gateway}`)

before(async () => {
  if (skip !== false) return
  wire()
  const started = await startInProcessCluster({ podCidr: '10.88.0.0/16' })
  cluster = started
  for (const { name, address, range } of nodes) {
    const spec = { podCIDR: range, podCIDRs: [range] }
    await started.client.create<Node>(NODES, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      spec,
    } as Node)
    const patch = { status: { addresses: [{ type: 'InternalIP', address }] } }
    await started.client.patch(NODES, { name, subresource: 'status', type: 'strategic', patch })
  }
})
after(async () => {
  if (skip !== false) return
  for (const each of routes) await each.stop()
  await cluster?.stop()
  for (const { space } of nodes) execFileSync('ip', ['netns', 'delete', space])
})

test('pods of two nodes reach each other, and routes go with their node', { skip }, async () => {
  assert.ok(cluster)
  assert.equal(await pings(one, one.pod, two.pod), false)
  for (const { name, space } of nodes) {
    const component = createNodeRoutes({
      transport: cluster.transportFor({ username: 'system:kube-proxy', groups: ['system:authenticated'] }),
      nodeName: name,
      run: (program, args, options) => runProgram('ip', ['netns', 'exec', space, program, ...args], options),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    })
    routes.push(component)
    await component.start(new AbortController().signal)
    assert.deepEqual(component.health(), { ok: true, reason: '' })
  }
  assert.deepEqual(routesOf(one), [`${two.range} ${two.address}`])
  assert.equal(await pings(one, one.pod, two.pod), true)
  assert.equal(await pings(two, two.pod, one.pod), true)
  await cluster.client.delete(NODES, { name: two.name })
  await until('the route to be gone', () => routesOf(one).length === 0)
  assert.deepEqual(routesOf(two), [`${one.range} ${one.address}`])
})
