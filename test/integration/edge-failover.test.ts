/**
 * Three servers with real containers, as network namespaces on one link, and a neighbour who asks: what comes from
 * outside by a load balancer's address or by an Ingress is answered again after the node that had the address is lost.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { IMAGE } from '../support/container-cluster.ts'
import { run } from '../support/kubectl.ts'
import { buildLink, ip } from '../support/link.ts'
import { realRuntimes } from '../support/oci.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const NAMES = ['n1', 'n2', 'n3']
const ADDRESS = '192.0.2.200'
/** What the add-on promises, a lost connection, and what a busy machine may add. */
const MOVED_MS_MAX = 3_000 + 2_000 + 5_000
const PREFIX = `mk8s-ef${process.pid}`
const space = (name: string) => `${PREFIX}-${name}`
const enter = (name: string) => ['nsenter', `--net=/run/netns/${space(name)}`]
const addressOf = (name: string) => `192.0.2.${NAMES.indexOf(name) + 1}`
const { why } = realRuntimes().find(({ runtime }) => runtime === 'oci') ?? { why: 'no runtime oci' }

const SCRIPT = 'mkdir -p /tmp/web && echo $NODE >/tmp/web/index.html && exec httpd -f -p 8080 -h /tmp/web'
const container = {
  ...{ name: 'web', image: IMAGE, command: ['sh', '-c', SCRIPT], ports: [{ containerPort: 8080 }] },
  env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
  readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
}
const labels = { app: 'web' }
const backend = { service: { name: 'web', port: { number: 80 } } }
const items = [
  {
    ...{ apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'web' } },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 0, containers: [container] },
      },
    },
  },
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' } },
    spec: { type: 'LoadBalancer', selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  },
  {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'web' } },
    spec: { rules: [{ host: 'web.test', http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }] },
  },
]

describe('what comes from outside to three servers', { skip: why ?? false }, () => {
  let servers: TestServers

  before(async () => {
    buildLink([...NAMES, 'asker'], space)
    for (const name of [...NAMES, 'asker']) {
      ip('-n', space(name), 'route', 'add', 'default', 'via', '192.0.2.4')
    }
    const settings = (name: string) => ({ enter: enter(name), address: addressOf(name) })
    servers = await startServers({ count: 1, runtime: 'oci', ...settings('n1') })
    await servers.join(settings('n2'))
    await servers.join(settings('n3'))
    for (const node of servers.nodes) await mk8s(node, 'images', 'import', '--busybox', IMAGE)
    const [first] = servers.nodes
    await mk8s(must(first, 'a node'), 'enable', `loadbalancer:${ADDRESS}/32`, 'ingress')
  })
  after(async () => {
    await servers?.remove()
    for (const name of ['link', ...NAMES, 'asker']) ip('netns', 'delete', space(name))
  })

  async function mk8s(node: TestNode, ...args: string[]): Promise<void> {
    const { code, stdout, stderr } = await node.mk8s(args)
    assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}`)
  }
  const ask = async (host: string, name = host): Promise<string> => {
    const words = ['busybox', 'timeout', '2', 'busybox', 'wget', '-qO-', '--header', `Host: ${name}`]
    const [first = '', ...rest] = [...enter('asker'), ...words, `http://${host}/`]
    return (await run(first, rest)).stdout.trim()
  }
  const isNode = (answer: string) => NAMES.includes(answer)
  const isHeldBy = (name: string) =>
    ip('-n', space(name), '-o', 'addr', 'show', 'dev', 'eth0').includes(` ${ADDRESS}/`)
  /** Nobody is led to the lost node any more when so many in a row are answered. */
  const allAnswered = async (host: string, name?: string) => {
    for (let count = 0; count < 6; count++) if (!isNode(await ask(host, name))) return false
    return true
  }

  test('the load balancer and every Ingress answer again after a node is lost', async t => {
    const { kubectl } = must(servers.nodes[0], 'a node')
    await kubectl.ok(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
    await kubectl.ok(['rollout', 'status', 'daemonset/web', '--timeout=60s'])
    await until('the address answers', () => allAnswered(ADDRESS))
    for (const name of NAMES) await until(`${name} answers`, () => allAnswered(addressOf(name), 'web.test'))

    const lost = must(
      servers.nodes.find(({ name }) => isHeldBy(name)),
      'a holder',
    )
    const others = servers.nodes.filter(node => node !== lost)
    const alive = must(others[0], 'another node')
    lost.powerOff()
    ip('-n', space('link'), 'link', 'set', `p${NAMES.indexOf(lost.name)}`, 'down')
    const lostMs = performance.now()
    const sinceMs = () => Math.round(performance.now() - lostMs)
    await until('another one has it', () => others.some(({ name }) => isHeldBy(name)))
    await until('the address answers', async () => isNode(await ask(ADDRESS)))
    const movedMs = sinceMs()
    for (const { name } of others) {
      await until(`${name} answers`, async () => isNode(await ask(addressOf(name), 'web.test')))
    }
    const servedMs = sinceMs()
    await until('no request meets the lost pod', () => allAnswered(ADDRESS))
    const settledMs = sinceMs()
    t.diagnostic(`the address ${movedMs} ms, Ingresses ${servedMs} ms, no more losses ${settledMs} ms`)
    assert.ok(movedMs < MOVED_MS_MAX, `the address answered after ${movedMs} ms`)
    await until('the Ingress tells the nodes that are left', async () => {
      const path = 'jsonpath={.status.loadBalancer.ingress[*].ip}'
      const told = (await alive.kubectl.ok(['get', 'ingress', 'web', '-o', path])).split(' ').sort()
      return told.join() === others.map(({ address }) => address).join()
    })
    for (const { name } of others) assert.ok(await allAnswered(addressOf(name), 'web.test'), name)
  })
})
