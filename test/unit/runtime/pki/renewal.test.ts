/** Certificates stay alive by themselves: what is due is renewed, listeners and links take it without a restart. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { connect, createServer } from 'node:tls'
import { silentLog } from '../../../../src/base/log.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { updateKubeconfig } from '../../../../src/runtime/pki/kubeconfig.ts'
import { LiveCertificates } from '../../../../src/runtime/pki/live-pki.ts'
import { ensurePki, loadPki, type Pki, type PkiParts } from '../../../../src/runtime/pki/pki.ts'
import {
  finishReplacement,
  forgetComingAuthority,
  keepComingAuthority,
  prepareNextAuthority,
  readAuthorities,
  setAuthorities,
} from '../../../../src/runtime/pki/refresh-authority.ts'
import { certificateProblems, createCertificateRenewal } from '../../../../src/runtime/pki/renewal.ts'
import { isDue } from '../../../../src/runtime/pki/validity.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { until } from '../../../support/until.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START_MS = Date.UTC(2026, 0, 1)

function partsIn(context: TestContext, nowMs = START_MS): PkiParts & { clock: { now: () => number } } {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-renewal-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return {
    directory,
    nodeName: 'node-1',
    addresses: ['127.0.0.1'],
    serviceIp: '10.152.183.1',
    extraSans: [],
    clusterDomain: 'cluster.local',
    clusterId: 'c1',
    memberId: '1',
    clock: { now: () => nowMs },
    random: systemRandom,
  }
}

const leafOf = (pki: Pki): X509Certificate => new X509Certificate(pki.leaves.apiserver.certificate)
const later = (parts: PkiParts, ms: number): PkiParts => ({ ...parts, clock: { now: () => START_MS + ms } })

test('certificates are valid from an hour before their issue', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const pki = await loadPki(parts.directory)
  for (const { certificate } of [...Object.values(pki.leaves), ...Object.values(pki.authorities)])
    assert.equal(Date.parse(new X509Certificate(certificate).validFrom), START_MS - HOUR_MS)
})

test('a clock that has yet to be set renews nothing, one that was ahead does', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  assert.deepEqual((await ensurePki(later(parts, -1000 * DAY_MS))).renewed, [])
  await ensurePki({ ...later(parts, 2 * DAY_MS), renew: ['apiserver'] })
  assert.deepEqual((await ensurePki(parts)).renewed, ['apiserver'])
})

test('a leaf does not outlive its authority, and is not renewed daily because of that', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const end = later(parts, 3500 * DAY_MS)
  assert.equal((await ensurePki(end)).renewed.length, 6)
  const pki = await loadPki(parts.directory)
  const authority = new X509Certificate(pki.authorities['cluster-ca'].certificate)
  assert.equal(leafOf(pki).validTo, authority.validTo)
  assert.equal(isDue(leafOf(pki), authority, START_MS + 3600 * DAY_MS), false)
})

test('the daemon renews daily, months before the end, and a listener uses it at once', async context => {
  const clock = new ManualClock(START_MS)
  const parts = { ...partsIn(context), clock }
  await ensurePki(parts)
  const live = new LiveCertificates(await loadPki(parts.directory))
  const { certificate: cert, key } = live.current.leaves.apiserver
  const server = createServer({ cert, key }, socket => socket.end())
  live.onChange(pki => {
    const { certificate, key: renewedKey } = pki.leaves.apiserver
    server.setSecureContext({ cert: certificate, key: renewedKey })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  context.after(() => server.close())
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const { port } = server.address() as { port: number }
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().serialNumber)
        socket.end()
      })
      socket.on('error', reject)
    })
  const before = await shown()
  let looks = 0
  const renewal = createCertificateRenewal<Pki>({
    live,
    async renew(forced) {
      looks++
      return (await ensurePki({ ...parts, renew: forced })).renewed
    },
    load: () => loadPki(parts.directory),
    clock,
    log: silentLog,
  })
  context.after(() => renewal.stop())
  clock.advance(240 * DAY_MS)
  await renewal.start(new AbortController().signal)
  const renewedOn: number[] = []
  live.onChange(() => renewedOn.push(looks - 1))
  for (let day = 1; day <= 9; day++) {
    await until('the daily look', () => looks === day && !clock.idle)
    clock.advance(DAY_MS)
  }
  await until('the last look', () => looks === 10 && !clock.idle)
  assert.deepEqual(renewedOn, [5])
  assert.notEqual(await shown(), before)
})

test('certificates that end within two weeks are problems with a remedy', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  assert.deepEqual(await certificateProblems(parts.directory, START_MS + 350 * DAY_MS), [])
  const late = await certificateProblems(parts.directory, START_MS + 352 * DAY_MS)
  assert.equal(late.length, 6)
  assert.deepEqual([late[0]?.object, late[0]?.reason], ['certificate/admin', 'CertificateExpires'])
  const [ended] = await certificateProblems(parts.directory, START_MS + 366 * DAY_MS)
  assert.equal(ended?.reason, 'CertificateExpired')
})

test('a next authority is trusted, signs, and is then the only one; who knows the earlier one still gets to it', async context => {
  const parts = partsIn(context)
  const { directory } = parts
  await ensurePki(parts)
  const before = await loadPki(directory)
  const earlier = before.authorities['cluster-ca'].certificate
  const { certificate: next, cross } = await prepareNextAuthority(parts)
  assert.equal((await prepareNextAuthority(parts)).certificate, next)
  assert.equal(await setAuthorities(directory, [earlier, next]), true)
  assert.equal(await setAuthorities(directory, [earlier, next]), false)
  assert.deepEqual((await ensurePki(parts)).renewed, [])
  await setAuthorities(directory, [next, earlier], cross)
  assert.deepEqual([...(await ensurePki(parts)).renewed].sort(), [
    'admin',
    'apiserver',
    'apiserver-kubelet-client',
    'kubelet',
  ])
  const after = await loadPki(directory)
  assert.ok(leafOf(after).verify(new X509Certificate(next).publicKey))
  assert.deepEqual(after.authorities['peer-ca'], before.authorities['peer-ca'])
  for (const ca of [earlier, next, `${next}${earlier}`])
    assert.equal(await handshake(context, after, ca), 'good')
  await setAuthorities(directory, [next])
  await forgetComingAuthority(directory)
  assert.deepEqual(await readAuthorities(directory), { trusted: [next], coming: null, cross: null })
  const last = await loadPki(directory)
  assert.deepEqual((await ensurePki(parts)).renewed, [])
  assert.equal(await handshake(context, last, next), 'good')
  assert.notEqual(await handshake(context, last, earlier), 'good')
})

test('a key that is not that of the next authority is not taken, nor is one that is not here signed with', async context => {
  const parts = partsIn(context)
  const other = partsIn(context)
  await Promise.all([ensurePki(parts), ensurePki(other)])
  const { certificate } = await prepareNextAuthority(other)
  const { key } = (await loadPki(other.directory)).authorities['cluster-ca']
  await assert.rejects(keepComingAuthority(parts.directory, { certificate, key }), /does not belong/)
  await assert.rejects(setAuthorities(parts.directory, [certificate]), /is not here/)
})

/** 'good', or why a client that trusts `ca` does not believe the API server. */
async function handshake(context: TestContext, pki: Pki, ca: string): Promise<string> {
  const { certificate: cert, key } = pki.leaves.apiserver
  const server = createServer({ cert, key }, socket => socket.end())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  context.after(() => server.close())
  const { port } = server.address() as { port: number }
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1', ca }, () => {
      resolve('good')
      socket.end()
    })
    socket.on('error', error => resolve(error.message))
  })
}

test('an exchange of the authority that was cut off is finished, or forgotten, by the next look', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const path = (name: string) => join(parts.directory, name)
  const before = readFileSync(path('cluster-ca.crt'), 'utf8')
  writeFileSync(path('cluster-ca.next.key'), 'half')
  await finishReplacement(parts.directory)
  assert.equal(existsSync(path('cluster-ca.next.key')), false)
  const other = partsIn(context)
  await ensurePki(other)
  renameSync(join(other.directory, 'cluster-ca.key'), path('cluster-ca.key'))
  writeFileSync(path('cluster-ca.next.crt'), readFileSync(join(other.directory, 'cluster-ca.crt')))
  assert.ok((await ensurePki(parts)).renewed.includes('apiserver'))
  assert.notEqual(readFileSync(path('cluster-ca.crt'), 'utf8'), before)
})

test('a kubeconfig gets a new identity and keeps what its user changed', () => {
  const text =
    'server: https://10.0.0.9:16443\n  certificate-authority-data: eA==\nclient-key-data: eQ==\nclient-certificate-data: eg==\n'
  const updated = updateKubeconfig(text, { authority: 'A', certificate: 'C', key: 'K' })
  const data = (value: string) => Buffer.from(value).toString('base64')
  assert.equal(
    updated,
    `server: https://10.0.0.9:16443\n  certificate-authority-data: ${data('A')}\nclient-key-data: ${data('K')}\nclient-certificate-data: ${data('C')}\n`,
  )
})
