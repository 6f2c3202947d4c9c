/**
 * Nodes as network namespaces, two of one network and one behind a router: what one node's pod sends reaches the pod
 * of another as itself.
 */
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
const ROUTER = `mk8s-r0-${process.pid}`
const NARROW = 1_400
const nodes = [1, 2, 3].map(index => ({
  name: `node-${index}`,
  space: `mk8s-r${index}-${process.pid}`,
  network: index === 3 ? '10.77.8' : '10.77.9',
  address: `${index === 3 ? '10.77.8' : '10.77.9'}.${index}`,
  range: `10.88.${index}.0/24`,
  pod: `10.88.${index}.7`,
  // By IPv6 only the two are neighbours; the third one has no address of it.
  address6: index === 3 ? undefined : `fd77:9::${index}`,
  range6: `fd88:0:0:${index}::/64`,
  pod6: `fd88:0:0:${index}::7`,
}))
const [one, two, far] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
let cluster: InProcessCluster | undefined
const routes: Component[] = []

const ip = (space: string, ...args: string[]): string =>
  execFileSync('ip', ['-n', space, ...args], { encoding: 'utf8' })

/** Each machine with the address of a pod; the router has two of them on a switch, and the third on a wire. */
function wire(): void {
  for (const space of [ROUTER, ...nodes.map(node => node.space)]) {
    execFileSync('ip', ['netns', 'add', space])
    ip(space, 'link', 'set', 'lo', 'up')
  }
  ip(ROUTER, 'link', 'add', 'switch', 'type', 'bridge')
  ip(ROUTER, 'addr', 'add', '10.77.9.254/24', 'dev', 'switch')
  ip(ROUTER, 'link', 'set', 'switch', 'up')
  for (const { space, name, network, address, pod, address6, pod6 } of nodes) {
    ip(ROUTER, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
    if (space === far.space) ip(ROUTER, 'addr', 'add', `${network}.254/24`, 'dev', name)
    else ip(ROUTER, 'link', 'set', name, 'master', 'switch')
    ip(ROUTER, 'link', 'set', name, 'mtu', String(NARROW), 'up')
    ip(space, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    ip(space, 'addr', 'add', `${pod}/32`, 'dev', 'lo')
    if (address6 !== undefined) ip(space, 'addr', 'add', `${address6}/64`, 'dev', 'eth0', 'nodad')
    ip(space, 'addr', 'add', `${pod6}/128`, 'dev', 'lo', 'nodad')
    ip(space, 'link', 'set', 'eth0', 'mtu', String(NARROW), 'up')
    ip(space, 'route', 'add', 'default', 'via', `${network}.254`)
  }
  const enter = ['netns', 'exec', ROUTER, 'sh', '-c']
  execFileSync('ip', [...enter, 'echo 1 >/proc/sys/net/ipv4/ip_forward'])
}

/** Half a megabyte from one pod to another: small packets are no proof of a tunnel. */
async function carries(from: typeof one, to: typeof one, family: 'pod' | 'pod6' = 'pod'): Promise<string> {
  const server =
    "require('net').createServer(s=>{let n=0;s.on('data',d=>n+=d.length);s.on('end',()=>{console.log(n,s.remoteAddress);" +
    'process.exit()})}).listen(7000,process.argv[1]);setTimeout(()=>process.exit(1),20000)'
  const client =
    "setTimeout(()=>process.exit(),20000);const c=require('net').createConnection({host:process.argv[1]," +
    'localAddress:process.argv[2],port:7000},()=>{c.end(Buffer.alloc(524288))});' +
    "c.on('error',()=>process.exit(1)).on('close',()=>process.exit())"
  const node = (space: string, script: string, ...rest: string[]) =>
    runProgram('ip', ['netns', 'exec', space, process.execPath, '-e', script, ...rest], { accept: 'any' })
  const received = node(to.space, server, to[family])
  await until('the receiver', () =>
    execFileSync('ip', ['netns', 'exec', to.space, 'ss', '-Hltn'], { encoding: 'utf8' }).includes(':7000'),
  )
  await node(from.space, client, to[family], from[family])
  return (await received).stdout.trim()
}

const pings = async ({ space }: typeof one, from: string, to: string): Promise<boolean> => {
  const script =
    "const s=require('net').createConnection({host:process.argv[1],localAddress:process.argv[2],port:9});" +
    "s.on('error',e=>process.exit(e.code==='ECONNREFUSED'?0:1));setTimeout(()=>process.exit(2),3000)"
  const words = ['netns', 'exec', space, process.execPath, '-e', script, to, from]
  return (await runProgram('ip', words, { accept: 'any' })).exitCode === 0
}

const routesOf = ({ space }: typeof one, family = '-4') =>
  (
    JSON.parse(ip(space, '-j', family, 'route', 'show', 'proto', '77') || '[]') as {
      dst: string
      gateway: string
    }[]
  ).map(({ dst, gateway }) => `${dst} ${gateway}`)

before(async () => {
  if (skip !== false) return
  wire()
  const started = await startInProcessCluster({ podCidrs: ['10.88.0.0/16', 'fd88::/48'] })
  cluster = started
  for (const { name, address, range, address6, range6 } of nodes) {
    const spec = { podCIDR: range, podCIDRs: [range, range6] }
    await started.client.create<Node>(NODES, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      spec,
    } as Node)
    const known = address6 === undefined ? [address] : [address, address6]
    const patch = { status: { addresses: known.map(each => ({ type: 'InternalIP', address: each })) } }
    await started.client.patch(NODES, { name, subresource: 'status', type: 'merge', patch })
  }
})
after(async () => {
  if (skip !== false) return
  for (const each of routes) await each.stop()
  await cluster?.stop()
  for (const space of [ROUTER, ...nodes.map(node => node.space)])
    execFileSync('ip', ['netns', 'delete', space])
})

test('pods of nodes reach each other, also over a router, and routes go with their node', {
  skip,
}, async () => {
  assert.ok(cluster)
  assert.equal(await pings(one, one.pod, two.pod), false)
  const mtus = new Map<string, number>()
  for (const { name, space } of nodes) {
    const component = createNodeRoutes({
      transport: cluster.transportFor({ username: 'system:kube-proxy', groups: ['system:authenticated'] }),
      nodeName: name,
      onPodMtu: mtu => mtus.set(name, mtu),
      run: (program, args, options) => runProgram('ip', ['netns', 'exec', space, program, ...args], options),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    })
    routes.push(component)
    await component.start(new AbortController().signal)
    assert.deepEqual(component.health(), { ok: true, reason: '' })
  }
  const behind = `${far.range} 10.88.3.0`
  assert.deepEqual(routesOf(one), [`${two.range} ${two.address}`, behind])
  assert.equal(mtus.get(one.name), NARROW - 50)
  assert.equal(await pings(one, one.pod, two.pod), true)
  assert.equal(await pings(two, two.pod, one.pod), true)
  assert.equal(await carries(two, far), `524288 ${two.pod}`)
  assert.equal(await carries(far, one), `524288 ${far.pod}`)
  const behind6 = `${far.range6} fd88:0:0:3::`
  assert.deepEqual(routesOf(one, '-6'), [`${two.range6} ${two.address6}`, behind6])
  assert.equal(await pings(one, one.pod6, two.pod6), true)
  assert.equal(await carries(two, far, 'pod6'), `524288 ${two.pod6}`)
  assert.equal(await carries(far, one, 'pod6'), `524288 ${far.pod6}`)
  await cluster.client.delete(NODES, { name: two.name })
  await until('the route to be gone', () => routesOf(one).length === 1)
  assert.deepEqual(routesOf(one), [behind])
  await until('that of IPv6', () => routesOf(one, '-6').length === 1)
  await cluster.client.delete(NODES, { name: far.name })
  await until('the tunnel to be gone', () => !ip(one.space, 'link').includes('vxlan'))
  assert.deepEqual([...routesOf(one), ...routesOf(one, '-6')], [])
  assert.equal(mtus.get(one.name), NARROW)
})
