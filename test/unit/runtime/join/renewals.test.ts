/** A worker's renewal: exactly its own name, an address that is nobody else's, and only while it is a node. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import test from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import type { Mk8sError } from '../../../../src/base/errors.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { makeWorkerKeys } from '../../../../src/runtime/join/join-pki.ts'
import { renewWorker } from '../../../../src/runtime/join/renewals.ts'
import { issueAuthority } from '../../../../src/runtime/pki/issue.ts'
import { validityFrom } from '../../../../src/runtime/pki/validity.ts'

const authority = await issueAuthority('mk8s-cluster-ca', validityFrom(Date.now(), 3650), systemRandom)
const owners: Record<string, string> = { '192.0.2.1': 'server-1', '192.0.2.7': 'worker-1' }
const parts = {
  authority,
  clock: systemClock,
  random: systemRandom,
  nodes: { isNode: (name: string) => name === 'worker-1', ownerOf: (address: string) => owners[address] },
}
const { publicKeys, keys } = makeWorkerKeys()
const refusal = (code: string) => (error: unknown) => (error as Mk8sError).code === code

test('the certificates bear the name of the certificate that was shown and the address of the node', async () => {
  for (const address of ['192.0.2.7', '192.0.2.99']) {
    const answer = await renewWorker('worker-1', { publicKeys, address }, parts)
    const serving = new X509Certificate(answer.certificates.kubelet)
    assert.ok(serving.subject.includes('CN=system:node:worker-1'))
    assert.ok(serving.checkIP(address))
    const client = new X509Certificate(answer.certificates['kubelet-client'])
    assert.equal(client.subject, 'O=system:nodes\nCN=system:node:worker-1')
    assert.ok(client.verify(new X509Certificate(answer.authority).publicKey))
    assert.equal(client.publicKey.export({ type: 'spki', format: 'pem' }), publicKeys['kubelet-client'])
  }
})

test('a node that was removed, and an address of another, are refused', async () => {
  const body = { publicKeys, address: '192.0.2.7' }
  await assert.rejects(renewWorker('worker-2', body, parts), refusal('refused'))
  const stolen = { publicKeys, address: '192.0.2.1' }
  await assert.rejects(renewWorker('worker-1', stolen, parts), refusal('refused'))
})

test('what is no key or no address is refused, and a private key is never certified', async () => {
  const address = '192.0.2.7'
  for (const body of [null, {}, { publicKeys, address: 'host' }, { publicKeys: {}, address }])
    await assert.rejects(renewWorker('worker-1', body, parts), refusal('usage'))
  const secret = { publicKeys: keys, address }
  await assert.rejects(renewWorker('worker-1', secret, parts), refusal('pki/invalid'))
})
