/** Backups in a bucket of a real S3 server: whole files only, whatever the server, the network or the key does. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import type { Mk8sError } from '../../src/base/errors.ts'
import { systemRandom } from '../../src/base/random.ts'
import { S3_LIMITS, S3Client } from '../../src/runtime/backup/targets/s3/client.ts'
import { parseS3Place } from '../../src/runtime/backup/targets/s3/place.ts'
import { openS3 } from '../../src/runtime/backup/targets/s3/s3-target.ts'
import { type Fault, startFaultyRelay } from '../support/faulty-relay.ts'
import {
  SWIFT_ACCESS_KEY,
  SWIFT_LIST_MAX,
  SWIFT_REGION,
  SWIFT_SECRET_KEY,
  Swift,
  whyNoSwift,
} from '../support/swift.ts'

const PARTS = { clock: systemClock, random: systemRandom }
const PATIENCE = { baseMs: 20, maxMs: 200, jitter: 0 }
const LIMITS = { ...S3_LIMITS, backoff: PATIENCE }
const MIB = 1024 * 1024
const never = new AbortController().signal
const KEY = new Map([
  ['access-key-id', Buffer.from(`${SWIFT_ACCESS_KEY}\n`)],
  ['secret-access-key', Buffer.from(`${SWIFT_SECRET_KEY}\n`)],
])

async function* of(bytes: Buffer, pieceBytes = 100_000) {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

const pattern = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 255))

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(bytes))
}

const namesOf = (files: readonly { readonly name: string }[]): string[] =>
  files.map(({ name }) => name).sort()

describe('an S3 bucket as a backup target', { skip: whyNoSwift() ?? false }, () => {
  const swift = new Swift()
  const urlOf = (bucket: string, region = SWIFT_REGION) =>
    new URL(`s3://${bucket}?endpoint=${swift.endpoint}&region=${region}`)
  const open = (prefix = '', limits = LIMITS) => openS3(urlOf(`backups${prefix}`), KEY, PARTS, limits)

  before(async () => {
    await swift.start()
    const key = { accessKeyId: SWIFT_ACCESS_KEY, secretAccessKey: SWIFT_SECRET_KEY }
    const client = new S3Client(parseS3Place(urlOf('backups')), key, PARTS)
    await client.send({ what: 'making the bucket', method: 'PUT', key: '' }, never)
  })
  after(async () => await swift.stop())

  const rejection = async (work: Promise<unknown>): Promise<Mk8sError> => {
    try {
      await work
    } catch (error) {
      return error as Mk8sError
    }
    throw new Error('it did not fail')
  }

  it('takes small and large files and gives them back as they were', async () => {
    const target = open('/clusters/a b+ü')
    await target.check(never)
    const small = pattern(1_000)
    const large = pattern(20 * MIB + 17)
    assert.deepEqual(await target.put('small.mk8s', of(small), never), { bytes: small.length })
    assert.deepEqual(await target.put('large.mk8s', of(large), never), { bytes: large.length })
    assert.deepEqual(await target.put('empty.mk8s', of(Buffer.alloc(0)), never), { bytes: 0 })
    const files = await target.list(never)
    const sizes = Object.fromEntries(files.map(({ name, bytes }) => [name, bytes]))
    assert.deepEqual(sizes, { 'small.mk8s': 1_000, 'large.mk8s': large.length, 'empty.mk8s': 0 })
    assert.ok(files.every(({ modifiedMs }) => Math.abs(modifiedMs - Date.now()) < 600_000))
    assert.ok((await collect(target.get('small.mk8s', never))).equals(small))
    assert.ok((await collect(target.get('large.mk8s', never))).equals(large))
    await target.put('small.mk8s', of(Buffer.from('new')), never)
    assert.equal((await collect(target.get('small.mk8s', never))).toString(), 'new')
    for (const { name } of files) await target.remove(name, never)
    await target.remove('small.mk8s', never)
    assert.deepEqual(await target.list(never), [])
    const error = await rejection(collect(target.get('small.mk8s', never)))
    assert.equal(error.code, 'config/unreadable')
  })

  it('lists more files than one answer holds, and only those directly there', async () => {
    const target = open('/many')
    const names = Array.from({ length: SWIFT_LIST_MAX * 2 + 1 }, (_, index) => `f${index}.mk8s`)
    for (const name of names) await target.put(name, of(Buffer.from(name)), never)
    await open('/many/below').put('g.mk8s', of(Buffer.from('g')), never)
    await open('/many-others').put('h.mk8s', of(Buffer.from('h')), never)
    assert.deepEqual(namesOf(await target.list(never)), names.toSorted())
  })

  it('says what is wrong with a key, a bucket, a region or a clock', async () => {
    const wrongSecret = new Map([...KEY, ['secret-access-key', Buffer.from('wrong')]])
    const secret = await rejection(openS3(urlOf('backups'), wrongSecret, PARTS, LIMITS).check(never))
    assert.match(secret.why ?? '', /secret access key is wrong \(SignatureDoesNotMatch/)
    const wrongId = new Map([...KEY, ['access-key-id', Buffer.from('nobody')]])
    const id = await rejection(openS3(urlOf('backups'), wrongId, PARTS, LIMITS).check(never))
    assert.match(`${id.why}`, /InvalidAccessKeyId|SignatureDoesNotMatch/)
    const reader = new Map([
      ['access-key-id', Buffer.from('test:reader')],
      ['secret-access-key', Buffer.from('reader')],
    ])
    const denied = await rejection(openS3(urlOf('backups'), reader, PARTS, LIMITS).check(never))
    assert.match(denied.why ?? '', /may not do that \(AccessDenied/)
    const bucket = await rejection(openS3(urlOf('elsewhere'), KEY, PARTS, LIMITS).check(never))
    assert.match(bucket.why ?? '', /no such bucket/)
    const region = await rejection(openS3(urlOf('backups', 'us-west-2'), KEY, PARTS, LIMITS).check(never))
    assert.match(region.why ?? '', new RegExp(`in the region ${SWIFT_REGION}, not in us-west-2`))
    const late = { ...systemClock, now: () => Date.now() - 3_600_000 }
    const skewed = await rejection(
      openS3(urlOf('backups'), KEY, { ...PARTS, clock: late }, LIMITS).check(never),
    )
    assert.match(skewed.why ?? '', /clocks .* differ by 3[56]\d\d s/)
    for (const { message, why, hint } of [secret, id, denied, bucket, region, skewed]) {
      assert.ok(!`${message}${why}${hint}`.includes(SWIFT_SECRET_KEY))
    }
  })

  it('leaves nothing when what it is to write fails, or the signal fires', async () => {
    const target = open('/failing')
    async function* broken() {
      yield pattern(18 * MIB)
      throw new Error('the snapshot is gone')
    }
    const source = await rejection(target.put('a.mk8s', broken(), never))
    assert.equal(source.message, 'the snapshot is gone')
    const stop = new AbortController()
    async function* endless() {
      for (let count = 0; ; count++) {
        if (count === 20) stop.abort(new Error('no longer wanted'))
        yield Buffer.alloc(MIB)
      }
    }
    const aborted = await rejection(target.put('b.mk8s', endless(), stop.signal))
    assert.equal(aborted.message, 'no longer wanted')
    assert.deepEqual(await target.list(never), [])
  })

  it('gives no name to an upload whose server is killed, and cleans up what is left', async () => {
    const target = open('/killed', { ...LIMITS, attempts: 2 })
    async function* interrupted() {
      yield pattern(17 * MIB)
      await swift.killProxy()
      yield pattern(17 * MIB)
    }
    const error = await rejection(target.put('a.mk8s', interrupted(), never))
    assert.equal(error.code, 'backup/target')
    assert.match(error.why ?? '', /cannot be reached/)
    await swift.startProxy()
    const [left, ...others] = await target.list(never)
    assert.deepEqual(others, [])
    assert.match(left?.name ?? '', /^a\.mk8s\.[0-9a-f]{16}\.part$/)
    await target.remove(left?.name ?? '', never)
    assert.deepEqual(await target.list(never), [])
  })

  it('goes on where the server only went away for a moment', async () => {
    const target = open('/restarted', { ...LIMITS, attempts: 400 })
    const bytes = pattern(17 * MIB)
    let restarted: Promise<void> | undefined
    async function* restarting() {
      yield bytes.subarray(0, 9 * MIB)
      await swift.killProxy()
      restarted = swift.startProxy()
      yield bytes.subarray(9 * MIB)
    }
    await target.put('a.mk8s', restarting(), never)
    await restarted
    assert.ok((await collect(target.get('a.mk8s', never))).equals(bytes))
  })

  it('gives up on a server that does not answer', async () => {
    const target = open('/slow', { ...LIMITS, idleMs: 300, attempts: 2 })
    swift.pauseProxy()
    try {
      const error = await rejection(target.put('a.mk8s', of(pattern(1_000)), never))
      assert.match(error.why ?? '', /nothing was sent or received for 300 ms/)
    } finally {
      swift.resumeProxy()
    }
  })

  it('sends again what was damaged or cut off on its way, and gives no name to what always is', async () => {
    const bytes = pattern(300_000)
    const faults: Fault[] = ['flip', 'cut', 'flip']
    const relay = await startFaultyRelay(swift.port, () => faults.shift())
    const target = (attempts: number) =>
      openS3(
        new URL(`s3://backups/relayed?endpoint=http://127.0.0.1:${relay.port}&region=${SWIFT_REGION}`),
        KEY,
        PARTS,
        {
          ...LIMITS,
          attempts,
        },
      )
    try {
      await target(4).put('a.mk8s', of(bytes), never)
      assert.equal(faults.length, 0)
      assert.ok((await collect(target(1).get('a.mk8s', never))).equals(bytes))
      faults.push('flip', 'flip')
      const error = await rejection(target(2).put('b.mk8s', of(bytes), never))
      assert.match(`${error.why}`, /what arrived is not what was sent/)
      assert.deepEqual(namesOf(await target(1).list(never)), ['a.mk8s'])
    } finally {
      relay.stop()
    }
  })
})

describe('an S3 bucket behind TLS', { skip: whyNoSwift() ?? false }, () => {
  const place = mkdtempSync(join(tmpdir(), 'mk8s-s3-tls-'))
  const tls = { certificate: join(place, 'tls.crt'), key: join(place, 'tls.key') }
  const swift = new Swift({ tls })
  before(async () => {
    const args = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
    ]
    const subject = ['-subj', '/CN=s3 test', '-addext', 'subjectAltName=IP:127.0.0.1']
    execFileSync('openssl', [...args, ...subject, '-keyout', tls.key, '-out', tls.certificate], {
      stdio: 'ignore',
    })
    await swift.start()
  })
  after(async () => {
    await swift.stop()
    rmSync(place, { recursive: true })
  })

  it('trusts the authority of the Secret, and no server without it', async () => {
    const url = new URL(`s3://backups?endpoint=${swift.endpoint}&region=${SWIFT_REGION}`)
    const trusting = new Map([...KEY, ['ca.crt', readFileSync(tls.certificate)]])
    await assert.rejects(openS3(url, trusting, PARTS, LIMITS).check(never), { why: /no such bucket/ })
    await assert.rejects(openS3(url, KEY, PARTS, LIMITS).check(never), {
      why: /cannot be reached: self-signed certificate/,
      hint: /ca\.crt/,
    })
    const plain = new URL(`s3://backups?endpoint=${swift.endpoint.replace('https', 'http')}`)
    await assert.rejects(openS3(plain, KEY, PARTS, { ...LIMITS, attempts: 1 }).check(never), {
      why: /cannot be reached/,
    })
  })
})
