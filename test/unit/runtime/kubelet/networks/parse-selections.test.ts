/** The annotations by which pods ask for networks: both forms, as tables, with what is wrong. */
import assert from 'node:assert/strict'
import test from 'node:test'
import {
  interfaceNameOf,
  type NetworkSelection,
  parseSelections,
} from '../../../../../src/runtime/kubelet/networks/parse-selections.ts'

const short = ({ namespace, name, interfaceName }: NetworkSelection) =>
  `${namespace}/${name}${interfaceName === undefined ? '' : `@${interfaceName}`}`

test('the short form names networks with and without namespace and interface', () => {
  const table: Readonly<Record<string, readonly string[]>> = {
    '': [],
    '  ': [],
    a: ['own/a'],
    'a,b': ['own/a', 'own/b'],
    ' ns/a@eth1 , b@stor0,c.d ': ['ns/a@eth1', 'own/b@stor0', 'own/c.d'],
  }
  for (const [text, wanted] of Object.entries(table))
    assert.deepEqual(parseSelections(text, 'own').map(short), wanted, text)
})

test('interfaces without a name are called after their place', () => {
  const found = parseSelections('a, b@stor0, c', 'own')
  assert.deepEqual(found.map(interfaceNameOf), ['net1', 'stor0', 'net3'])
})

test('the JSON form carries addresses, MAC, ports, bandwidth, arguments and gateways', () => {
  const item = {
    ...{ name: 'a', namespace: 'ns', interface: 'stor0', mac: '02:00:00:00:00:01' },
    ...{ ips: ['10.0.0.2/24', 'fd00::2'], 'cni-args': { vf: 3 }, 'default-route': ['10.0.0.1', 'fd00::1'] },
    portMappings: [{ hostPort: 80, containerPort: 8080 }],
    bandwidth: { ingressRate: 1_000 },
  }
  const [full, plain] = parseSelections(JSON.stringify([item, { name: 'b' }]), 'own')
  assert.deepEqual(full, {
    ...{ namespace: 'ns', name: 'a', interfaceName: 'stor0', cniArgs: { vf: 3 } },
    defaultRoute: ['10.0.0.1', 'fd00::1'],
    runtimeConfig: {
      ...{ ips: item.ips, mac: item.mac, portMappings: item.portMappings, bandwidth: item.bandwidth },
    },
  })
  assert.deepEqual(plain, { namespace: 'own', name: 'b', defaultRoute: [], runtimeConfig: {} })
})

test('what means nothing is refused with its reason', () => {
  const table: readonly (readonly [text: string, reason: RegExp])[] = [
    ['a,,b', /"" has no usable name/],
    ['a/b/c', /"a\/b\/c" is not of the form/],
    ['a@b@c', /"a@b@c" is not of the form/],
    ['A', /"A" has no usable name/],
    ['-n/a', /"-n\/a" has no usable namespace/],
    ['/a', /"\/a" has no usable namespace/],
    ['a@eth0', /the interface eth0 is taken/],
    ['a@', /"" cannot be the name of an interface/],
    ['a@sixteen-letters0', /"sixteen-letters0" cannot be the name/],
    ['a@net2,b', /two networks ask for the interface net2/],
    ['a@x,b@x', /two networks ask for the interface x/],
    [Array(33).fill('a').join(','), /more than 32 networks/],
    ['[{"name": "a"', /it is no JSON/],
    ['{"name": "a"}', /it has to be a list/],
    ['["a"]', /"a" has to be a map with a name/],
    ['[{}]', /"" has no usable name/],
    ['[{"name": "a", "ips": "10.0.0.1"}]', /ips of "a" have to be addresses/],
    ['[{"name": "a", "ips": ["10.0.0.1/33"]}]', /ips of "a" have to be addresses/],
    ['[{"name": "a", "mac": "02:00"}]', /mac of "a" is no MAC address: "02:00"/],
    ['[{"name": "a", "default-route": ["here"]}]', /default-route of "a" has to be a list of addresses/],
    ['[{"name": "a", "cni-args": []}]', /cni-args of "a" have to be a map/],
    ['[{"name": "a", "namespace": 5}]', /"a" has no usable namespace/],
  ]
  for (const [text, reason] of table) assert.throws(() => parseSelections(text, 'own'), reason, text)
})
