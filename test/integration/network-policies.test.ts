/** Network policies judge real packets between pods of a node; a pod is a network namespace. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { NETWORK_POLICIES, PODS, SERVICES } from '../../src/client/resources.ts'
import type { NetworkPolicy, Service } from '../../src/kube/types.ts'
import { type NetworkNode, startNetworkNode, whyNoRules } from '../support/network-node.ts'
import type { AskOptions } from '../support/pod-network.ts'
import { until } from '../support/until.ts'

const WEB = '10.1.0.2'

describe('network policies', { skip: whyNoRules() ?? false }, () => {
  let node: NetworkNode
  const created: string[] = []

  before(async () => {
    node = await startNetworkNode()
    await node.addNamespace('b', { team: 'blue' })
    const ports = [
      { name: 'http', containerPort: 8080, protocol: 'TCP' },
      { name: 'talk', containerPort: 8081, protocol: 'UDP' },
    ]
    await node.addPod({
      name: 'web',
      address: WEB,
      labels: { app: 'web' },
      ports,
      serves: [8080, 8081, 8085],
    })
    await node.addPod({ name: 'friend', address: '10.1.0.3', labels: { app: 'friend' }, serves: [7000] })
    await node.addPod({ name: 'other', namespace: 'b', address: '10.1.0.4', labels: { app: 'friend' } })
  })
  after(() => node?.stop())

  const apply = async (name: string, spec: object) => {
    const policy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name }, spec }
    await node.client.create(NETWORK_POLICIES, {
      ...policy,
      metadata: { name, namespace: 'default' },
    } as NetworkPolicy)
    created.push(name)
  }
  const clear = async () => {
    for (const name of created.splice(0)) {
      await node.client.delete(NETWORK_POLICIES, { namespace: 'default', name })
    }
  }
  const web = { podSelector: { matchLabels: { app: 'web' } } }
  const asks = (name: string, port = 8080, options: AskOptions = {}, host = WEB) =>
    node.network.ask(name, host, port, options)
  const becomes = (what: string, wanted: RegExp, ask: () => Promise<string>) =>
    until(what, async () => wanted.test(await ask()))
  const isServed = async (name: string, port?: number, options?: AskOptions) =>
    assert.match(await asks(name, port, options), /^web /)
  const isSilenced = async (name: string, port?: number, options?: AskOptions) =>
    assert.equal(await asks(name, port, options), 'silent')

  test('without a policy everybody is served', async () => {
    for (const name of ['friend', 'other', 'node', 'outside']) await isServed(name)
    await isServed('friend', 8081, { carrier: 'udp' })
  })

  test('a policy that allows nothing closes a pod to all but its node and itself', async () => {
    await apply('closed', web)
    await becomes('the pod to be closed', /silent/, () => asks('friend'))
    await isSilenced('other')
    await isSilenced('outside')
    await isSilenced('friend', 8081, { carrier: 'udp' })
    await isServed('node')
    // Through a service it may even meet itself.
    await node.client.create<Service>(SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { clusterIP: '10.152.183.20', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    })
    await becomes('the service to lead there', /^web/, () => asks('web', 80, {}, '10.152.183.20'))
    assert.equal(await asks('friend', 80, {}, '10.152.183.20'), 'silent')
    assert.match(await asks('web', 7000, {}, '10.1.0.3'), /^friend/)
  })

  test('what several policies allow is allowed, by labels, namespaces and both', async () => {
    const from = (peer: object) => ({ ...web, ingress: [{ from: [peer] }] })
    await apply('friends', from({ podSelector: { matchLabels: { app: 'friend' } } }))
    await becomes('the friend to be let in', /^web/, () => asks('friend'))
    await isSilenced('other')
    await apply(
      'strangers',
      from({
        namespaceSelector: { matchLabels: { team: 'blue' } },
        podSelector: { matchLabels: { app: 'x' } },
      }),
    )
    await apply(
      'blue',
      from({ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists' }] } }),
    )
    await becomes('the other to be let in', /^web/, () => asks('other'))
    await isServed('friend')
    await isSilenced('outside')
    await clear()
    await becomes('everybody to be let in', /^web/, () => asks('outside'))
  })

  test('ports are numbers, ranges and names, each of its protocol', async () => {
    const ports = [
      { port: 8084, endPort: 8086 },
      { protocol: 'UDP', port: 'talk' },
    ]
    await apply('ports', { ...web, ingress: [{ ports }] })
    await becomes('a port to be closed', /silent/, () => asks('friend'))
    await isServed('friend', 8085)
    await isSilenced('friend', 8085, { carrier: 'udp' })
    await isServed('friend', 8081, { carrier: 'udp' })
    await isSilenced('friend', 8081)
    await clear()
  })

  test('blocks of addresses leave out what is excepted', async () => {
    const ipBlock = { cidr: '0.0.0.0/0', except: ['192.0.2.0/25', '10.1.0.4/32'] }
    await apply('block', { ...web, ingress: [{ from: [{ ipBlock }] }] })
    await becomes('the outside to be left out', /silent/, () => asks('outside'))
    await isServed('friend')
    await isSilenced('other')
    await clear()
  })

  test('what goes out is judged too, after services have been resolved', async () => {
    const friend = { podSelector: { matchLabels: { app: 'friend' } } }
    await apply('out', {
      ...friend,
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 'http' }] }],
    })
    await becomes('another port to be closed', /silent/, () => asks('friend', 8085))
    await isServed('friend')
    await becomes('the service', /^web/, () => asks('friend', 80, {}, '10.152.183.20'))
    // Nothing was said of what comes in, and answers are no new connections.
    assert.match(await asks('web', 7000, {}, '10.1.0.3'), /^friend/)
    await clear()
  })

  test('a pod whose labels change is another peer at once', async () => {
    await apply('labels', {
      ...web,
      ingress: [{ from: [{ podSelector: { matchLabels: { role: 'new' } } }] }],
    })
    await becomes('the pod to be closed', /silent/, () => asks('friend'))
    const patch = { metadata: { labels: { role: 'new' } } }
    await node.client.patch(PODS, { namespace: 'default', name: 'friend', type: 'merge', patch })
    await becomes('the friend to be let in', /^web/, () => asks('friend'))
    await clear()
  })
})
