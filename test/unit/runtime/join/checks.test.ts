/** Whether a role is held for good, and whose certificate is worth a token. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { systemRandom } from '../../../../src/base/random.ts'
import { placeOf } from '../../../../src/runtime/join/attempts.ts'
import { checkJoiner } from '../../../../src/runtime/join/checks.ts'
import { fingerprintOf, verifyServer } from '../../../../src/runtime/join/fingerprint.ts'
import type { JoinToken } from '../../../../src/runtime/join/tokens.ts'
import type { MemberRecord, MemberRole } from '../../../../src/runtime/members/member-record.ts'
import { issueCross } from '../../../../src/runtime/pki/issue.ts'
import { validityFrom } from '../../../../src/runtime/pki/validity.ts'
import { makePki } from '../../../support/join-cluster.ts'

const record = (id: number, role: MemberRole): MemberRecord => ({
  id,
  nodeName: `n${id}`,
  peerAddresses: [{ host: '10.0.0.1', port: 19_000 + id }],
  apiAddress: { host: '10.0.0.1', port: 16_443 },
  joinAddress: { host: '10.0.0.1', port: 25_000 },
  failureDomain: '',
  role,
  entryVersion: 1,
  joinedAt: '2026-01-01T00:00:00Z',
  leaving: false,
})

const place = (
  roles: readonly MemberRole[],
  voters: number[],
  learners: number[],
  outgoing: number[] = [],
) => {
  const members = roles.map((role, at) => record(at + 1, role))
  return placeOf(members.at(-1), members, { voters, learners, outgoing }, 3)
}

test('a role is settled once Raft agrees with the record and no better one is free', () => {
  assert.deepEqual(place(['voter', 'standby'], [1], [2]), { inPlace: true, settled: true })
  assert.deepEqual(place(['voter', 'spare'], [1], [2]), { inPlace: true, settled: false })
  assert.deepEqual(place(['voter', 'standby'], [1], []), { inPlace: false, settled: false })
  assert.deepEqual(place(['voter', 'standby', 'standby'], [1], [2, 3]), { inPlace: true, settled: false })
  assert.deepEqual(place(['voter', 'voter', 'voter'], [1, 2, 3], [], [1]), { inPlace: false, settled: false })
  assert.deepEqual(place(['voter', 'voter', 'voter'], [1, 2, 3], []), { inPlace: true, settled: true })
  const full: MemberRole[] = ['voter', 'voter', 'voter', 'standby', 'standby', 'standby', 'spare']
  assert.deepEqual(place(full, [1, 2, 3], [4, 5, 6, 7]), { inPlace: true, settled: true })
  assert.deepEqual(placeOf(undefined, [], { voters: [1], learners: [], outgoing: [] }, 3).settled, false)
})

test('while the authority is being replaced, a server is known by either fingerprint', async () => {
  const [own, other] = [await makePki('1'), await makePki('2')]
  const [earlier, next] = [own.authorities['cluster-ca'], other.authorities['cluster-ca']]
  const validity = validityFrom(Date.now(), 10)
  const made = await issueCross(next.certificate, { authority: earlier, validity, random: systemRandom })
  const [cross, root] = [new X509Certificate(made), new X509Certificate(earlier.certificate)]
  const leaf = new X509Certificate(other.leaves.apiserver.certificate)
  const by = (fingerprint: string) =>
    fingerprintOf(verifyServer({ leaf, chain: [cross, root] }, { fingerprint, nowMs: Date.now() }))
  const known = [root, new X509Certificate(next.certificate)].map(fingerprintOf)
  assert.deepEqual(known.map(by), known)
  const alone = { leaf, chain: [root] }
  assert.throws(() => verifyServer(alone, { fingerprint: known[0] ?? '', nowMs: Date.now() }), /not the one/)
})

test('only a server’s certificate of the pinned authority, at its time, is trusted', async () => {
  const [own, other] = [await makePki('1'), await makePki('2')]
  const authority = new X509Certificate(own.authorities['cluster-ca'].certificate)
  const foreign = new X509Certificate(other.authorities['cluster-ca'].certificate)
  const leaf = new X509Certificate(own.leaves.apiserver.certificate)
  const pinned = { fingerprint: fingerprintOf(authority), nowMs: Date.now() }
  const shown = { leaf, chain: [authority] }
  assert.equal(verifyServer(shown, pinned).fingerprint256, authority.fingerprint256)
  assert.equal(verifyServer(shown, { ...pinned, fingerprint: null }).fingerprint256, authority.fingerprint256)
  assert.throws(() => verifyServer({ leaf, chain: [foreign] }, pinned), /not the one/)
  assert.throws(() => verifyServer({ leaf, chain: [] }, pinned), /not the one/)
  const stolen = new X509Certificate(other.leaves.apiserver.certificate)
  assert.throws(() => verifyServer({ leaf: stolen, chain: [authority] }, pinned), /not the one/)
  for (const name of ['kubelet', 'admin'] as const) {
    const wrong = new X509Certificate(own.leaves[name].certificate)
    assert.throws(() => verifyServer({ leaf: wrong, chain: [authority] }, pinned), /not the one/)
  }
  const late = pinned.nowMs + 20 * 365 * 86_400_000
  assert.throws(() => verifyServer(shown, { ...pinned, nowMs: late }), /not valid any more/)
  const early = pinned.nowMs - 86_400_000
  assert.throws(() => verifyServer(shown, { ...pinned, nowMs: early }), /not valid yet/)
})

test('a node that is found by the other family of addresses cannot join', () => {
  const ports = { api: 1, join: 2, raft: 3, kubelet: 4 }
  const ask = (address: string, bindAddress: string) => () => {
    const node = { name: 'n', role: 'server', address, ports, failureDomain: '' } as const
    const versions = { mk8s: '0.1.0', kubernetes: 'v1.36.0', entry: 1 }
    const request = { protocol: 1, token: '', tokenWasShown: false, versions, timeMs: 0, node }
    const facts = { nowMs: 0, kubernetes: 'v1.36.0', entryVersion: 1, bindAddress, members: [] }
    checkJoiner(request, { uses: 1, worker: false } as JoinToken, { ...facts, node: 'absent' })
  }
  assert.doesNotThrow(ask('fd77::2', 'fd77::1'))
  assert.throws(ask('192.0.2.2', 'fd77::1'), /found at 192\.0\.2\.2/)
  assert.throws(ask('fd77::2', '192.0.2.1'), /found at fd77::2/)
})
