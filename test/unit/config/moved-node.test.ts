/** A node that has moved: its configuration, its kubeconfig, and where the others are found. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { moveKubeconfig, moveNode } from '../../../src/config/moved-node.ts'
import type { NodeConfig } from '../../../src/config/node-config.ts'
import { movedTo, parsePeerAddress } from '../../../src/config/peer-addresses.ts'

const config: NodeConfig = {
  dataDir: '/data',
  clusterId: 'c',
  memberId: 1,
  role: 'server',
  failureDomain: '',
  nodeName: 'a',
  bindAddress: '192.0.2.1',
  ports: { api: 16443, join: 25000, raft: 19001, kubelet: 10250 },
  runtime: 'simulated',
  runtimeReason: '',
  criSocket: '',
  etcdListen: '192.0.2.1:2379',
  logLevel: 'info',
}

test('the new address stands wherever the old one did, and nowhere else', () => {
  assert.deepEqual(moveNode(config, '2001:db8::1'), {
    ...config,
    bindAddress: '2001:db8::1',
    etcdListen: '[2001:db8::1]:2379',
  })
  assert.equal(moveNode({ ...config, etcdListen: 'unix' }, '192.0.2.2').etcdListen, 'unix')
  assert.equal(
    moveNode({ ...config, etcdListen: '127.0.0.1:2379' }, '192.0.2.2').etcdListen,
    '127.0.0.1:2379',
  )
  for (const bad of ['host', '0.0.0.0', '192.0.2.300'])
    assert.throws(() => moveNode(config, bad), { code: 'config/invalid' }, bad)
})

test('only servers of the kubeconfig that had the old address change', () => {
  const text = 'server: https://192.0.2.1:16443\nserver: https://192.0.2.10:16443\nname: 192.0.2.1\n'
  assert.equal(
    moveKubeconfig(text, '192.0.2.1', '2001:db8::1'),
    'server: https://[2001:db8::1]:16443\nserver: https://192.0.2.10:16443\nname: 192.0.2.1\n',
  )
  assert.equal(moveKubeconfig('server: "https://[::1]:1/"', '::1', '::2'), 'server: "https://[::2]:1/"')
})

test('another server is tried at its new address until its record has it', () => {
  const record = { nodeName: 'b', peerAddresses: [{ host: '192.0.2.2', port: 19002 }] }
  assert.deepEqual(movedTo({ b: '192.0.2.22' }, record), [{ host: '192.0.2.22', port: 19002 }])
  assert.deepEqual(movedTo({ b: '192.0.2.2' }, record), [])
  assert.deepEqual(movedTo({}, record), [])
  assert.deepEqual(parsePeerAddress('b=::1'), ['b', '::1'])
  for (const bad of ['b', 'b=', '=::1', 'b=host'])
    assert.throws(() => parsePeerAddress(bad), { code: 'usage' })
})
