import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { systemClock } from '../../../../../src/base/clock.ts'
import { Mk8sError } from '../../../../../src/base/errors.ts'
import { createLog, silentLog } from '../../../../../src/base/log.ts'
import { seededRandom } from '../../../../../src/base/random.ts'
import { createEntry, type Entry, entryTypes, payloadOf } from '../../../../../src/runtime/raft/entry.ts'
import { encodeConfiguration } from '../../../../../src/runtime/raft/membership.ts'
import { SEGMENT_HEADER_BYTES } from '../../../../../src/runtime/store/log/frame.ts'
import { recoverLog, segmentName } from '../../../../../src/runtime/store/log/recovery.ts'
import {
  WriteAheadLog,
  type WriteAheadLogParts,
} from '../../../../../src/runtime/store/log/write-ahead-log.ts'
import { SimulatedDisk } from './simulated-disk.ts'

const SEGMENT_BYTES = 16 * 1024
const nobody = { voters: [7], outgoing: [], learners: [] }
const start = { index: 0, term: 0, configuration: nobody }

function partsOf(
  disk: SimulatedDisk,
  onFailed: (error: Error) => void = error => assert.fail(error),
): WriteAheadLogParts {
  const identity = { member: 7, cluster: Buffer.alloc(16, 1) }
  return {
    disk,
    random: seededRandom(1),
    clock: systemClock,
    log: silentLog,
    identity,
    onFailed,
    segmentBytes: SEGMENT_BYTES,
  }
}

function entryAt(index: number, text = `entry ${index}`, term = 1): Entry {
  return createEntry(entryTypes.transaction, Buffer.from(text), { index, term })
}

function append(wal: WriteAheadLog, entries: readonly Entry[], term = 1): Promise<void> {
  return new Promise(done => wal.append({ hardState: { term, vote: 7, commit: 0 }, entries, done }))
}

async function recover(disk: SimulatedDisk, after = 0, log = silentLog) {
  const recovered = await recoverLog(disk, after, log)
  assert.ok(recovered)
  return recovered
}

const textsOf = (entries: readonly Entry[]) => entries.map(entry => payloadOf(entry).toString())
const isCorrupt = (error: unknown) => error instanceof Mk8sError && error.code === 'store/corrupt'
const first = segmentName(1)

/** A log of `count` entries, one frame each; also where each frame ends. */
async function written(count: number, disk = new SimulatedDisk()) {
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  const ends: number[] = []
  for (let index = 1; index <= count; index++) {
    await append(wal, [entryAt(index)])
    ends.push(wal.bytes)
  }
  await wal.close()
  return { disk, ends }
}

test('what was acknowledged survives a power cut', async () => {
  const { disk } = await written(5)
  disk.cutPower()
  const recovered = await recover(disk)
  assert.deepEqual(
    textsOf(recovered.entries),
    [1, 2, 3, 4, 5].map(n => `entry ${n}`),
  )
  assert.deepEqual(recovered.hardState, { term: 1, vote: 7, commit: 0 })
  assert.deepEqual(recovered.position, start)
})

test('everything that waits joins the next flush', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  const before = disk.flushes
  await Promise.all(Array.from({ length: 50 }, (_, n) => append(wal, [entryAt(n + 1)])))
  await wal.close()
  assert.ok(disk.flushes - before <= 2, `${disk.flushes - before} flushes`)
  assert.equal((await recover(disk)).entries.length, 50)
})

test('a moved commit index alone writes nothing', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  await append(wal, [entryAt(1)])
  const before = disk.flushes
  const hardState = { term: 1, vote: 7, commit: 1 }
  await new Promise<void>(done => wal.append({ hardState, entries: [], done }))
  assert.equal(disk.flushes, before)
  await append(wal, [entryAt(2)])
  await wal.close()
})

test('a tail torn at any byte is cut, and nothing before it is lost', async () => {
  const { disk, ends } = await written(3)
  const [, second = 0, third = 0] = ends
  const whole = Buffer.from(disk.file(first).bytes)
  for (let cut = second; cut < third; cut++) {
    const torn = Buffer.from(whole)
    torn.fill(0, cut, third)
    disk.file(first).bytes = torn
    const recovered = await recover(disk)
    // Cut within trailing zeros of the frame itself, nothing is missing.
    const intact = torn.equals(whole) ? 3 : 2
    assert.equal(recovered.entries.length, intact, `cut at ${cut}`)
    const wal = await WriteAheadLog.resume(partsOf(disk), recovered)
    await append(wal, [entryAt(intact + 1, 'after the cut')])
    await wal.close()
    assert.equal(textsOf((await recover(disk)).entries).at(-1), 'after the cut')
  }
})

test('a torn tail is cut with a warning', async () => {
  const { disk, ends } = await written(2)
  disk.file(first).bytes.writeUInt8(0xff, (ends[1] ?? 0) - 1)
  const lines: string[] = []
  const log = createLog({ level: 'warn', write: line => lines.push(line), now: () => 0 })
  assert.equal((await recover(disk, 0, log)).entries.length, 1)
  assert.match(lines.join(), /torn tail/)
})

test('a flipped bit in any frame but the last stops the node', async () => {
  const { disk, ends } = await written(4)
  const whole = Buffer.from(disk.file(first).bytes)
  for (let at = SEGMENT_HEADER_BYTES; at < (ends[2] ?? 0); at++) {
    const rotten = Buffer.from(whole)
    rotten.writeUInt8(rotten.readUInt8(at) ^ 0x10, at)
    disk.file(first).bytes = rotten
    await assert.rejects(recover(disk), isCorrupt, `byte ${at}`)
  }
})

test('a damaged segment header stops the node', async () => {
  const { disk } = await written(1)
  disk.file(first).bytes.writeUInt8(0, 20)
  await assert.rejects(recover(disk), isCorrupt)
})

async function writtenOverSegments() {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  for (let index = 1; index <= 40; index++)
    await append(wal, [entryAt(index, `${index} ${'x'.repeat(1000)}`)])
  return { disk, wal }
}

test('a log goes on over several segments', async () => {
  const { disk, wal } = await writtenOverSegments()
  await wal.close()
  disk.cutPower()
  const recovered = await recover(disk)
  assert.ok(recovered.segments.length >= 3)
  assert.equal(recovered.entries.length, 40)
})

test('a missing segment stops the node', async () => {
  const { disk, wal } = await writtenOverSegments()
  await wal.close()
  await disk.remove(segmentName(2))
  await assert.rejects(recover(disk), isCorrupt)
})

test('a missing last segment stops the node too, whatever the state holds', async () => {
  const { disk, wal } = await writtenOverSegments()
  await wal.close()
  disk.cutPower()
  const last = (await recover(disk)).segments.at(-1)?.number ?? 0
  await disk.remove(segmentName(last))
  await assert.rejects(recover(disk), isCorrupt)
  await assert.rejects(recover(disk, 1), isCorrupt)
})

test('a torn tail of any segment but the last stops the node', async () => {
  const { disk, wal } = await writtenOverSegments()
  await wal.close()
  const recovered = await recover(disk)
  const bytes = disk.file(first).bytes
  const lastFrame = bytes.lastIndexOf(recovered.segments[0]?.header.salt ?? Buffer.alloc(0))
  bytes.fill(0, lastFrame)
  await assert.rejects(recover(disk), isCorrupt)
})

test('a segment is recycled once its entries are durable elsewhere, and its old bytes never parse', async () => {
  const { disk, wal } = await writtenOverSegments()
  wal.dropTo(39)
  await append(wal, [entryAt(41)])
  await wal.close()
  const spares = (await disk.list()).filter(name => name.startsWith('spare'))
  assert.ok(spares.length > 0)
  const recovered = await recover(disk, 39)
  assert.equal(recovered.position.index, 39)
  assert.equal(recovered.position.term, 1)
  assert.deepEqual(recovered.position.configuration, nobody)
  assert.equal(recovered.entries.length, 2)
  const again = await WriteAheadLog.resume(partsOf(disk), recovered)
  for (let index = 42; index <= 80; index++)
    await append(again, [entryAt(index, `${index} ${'y'.repeat(500)}`)])
  await again.close()
  const after = await recover(disk, 39)
  assert.equal(after.entries.length, 41)
  assert.ok(textsOf(after.entries).every(text => !text.includes('x')) || after.position.index < 40)
})

test('an entry at an index that was there before replaces it and all behind it', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  await append(wal, [entryAt(1), entryAt(2), entryAt(3)])
  await append(wal, [entryAt(2, 'other', 2)], 2)
  await wal.close()
  const recovered = await recover(disk)
  assert.deepEqual(textsOf(recovered.entries), ['entry 1', 'other'])
  assert.equal(recovered.hardState.term, 2)
})

test('a write larger than a frame is split and comes back whole', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create({ ...partsOf(disk), segmentBytes: 16 * 1024 * 1024 }, start)
  const entries = Array.from({ length: 10 }, (_, n) => entryAt(n + 1, 'z'.repeat(1024 * 1024)))
  await append(wal, entries)
  await wal.close()
  assert.equal((await recover(disk)).entries.length, 10)
})

test('a failed flush ends the log: nothing of it is acknowledged, nothing later is written', async () => {
  const disk = new SimulatedDisk()
  const failures: Error[] = []
  const wal = await WriteAheadLog.create(
    partsOf(disk, error => {
      failures.push(error)
    }),
    start,
  )
  await append(wal, [entryAt(1)])
  disk.failing = new Error('EIO: i/o error')
  let acknowledged = 0
  const write = (entry: Entry) =>
    wal.append({ hardState: null, entries: [entry], done: () => acknowledged++ })
  write(entryAt(2))
  await wal.close()
  disk.failing = null
  write(entryAt(3))
  await wal.close()
  assert.equal(acknowledged, 0)
  assert.deepEqual(
    failures.map(error => error instanceof Mk8sError && error.code),
    ['store/disk'],
  )
  disk.cutPower()
  assert.equal((await recover(disk)).entries.length, 1)
})

test('a format of a later version is refused', async () => {
  const { disk } = await written(1)
  const bytes = disk.file(first).bytes
  bytes.writeUInt32LE(99, 8)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 64)), 64)
  const isVersion = (error: unknown) => error instanceof Mk8sError && error.code === 'store/version'
  await assert.rejects(recover(disk), isVersion)
})

test('what a killed process left unflushed is flushed before anybody relies on it', async () => {
  const { disk } = await written(2)
  const whole = Buffer.from(disk.file(first).bytes)
  // As if the process had been killed between write and flush: readable, but not durable.
  disk.file(first).durable = Buffer.alloc(whole.length)
  const wal = await WriteAheadLog.resume(partsOf(disk), await recover(disk))
  await wal.close()
  disk.cutPower()
  assert.equal((await recover(disk)).entries.length, 2)
})

test('entries that the state holds already may have been replaced in the log before', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  const members = { ...nobody, voters: [7, 8, 9] }
  const change = createEntry(entryTypes.membership, encodeConfiguration(members), { index: 4, term: 1 })
  await append(wal, [entryAt(1), entryAt(2), entryAt(3), change, entryAt(5)])
  await append(wal, [entryAt(3, 'another third', 2), entryAt(4, 'another fourth', 2)], 2)
  await wal.close()
  const recovered = await recover(disk, 4)
  assert.deepEqual(recovered.position, { index: 4, term: 2, configuration: nobody })
  assert.deepEqual(recovered.entries, [])
  assert.deepEqual(textsOf((await recover(disk, 2)).entries), ['another third', 'another fourth'])
})

test('a log that begins anew behind a snapshot holds nothing from before', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  await append(wal, [entryAt(1), entryAt(2)])
  const restore = { index: 100, term: 3, configuration: { ...nobody, voters: [7, 8] } }
  const hardState = { term: 3, vote: 0, commit: 100 }
  await new Promise<void>(done =>
    wal.append({ restore, hardState, entries: [entryAt(101, 'behind', 3)], done }),
  )
  await wal.close()
  const recovered = await recover(disk, 2)
  assert.deepEqual(recovered.position, restore)
  assert.deepEqual(recovered.hardState, hardState)
  assert.deepEqual(textsOf(recovered.entries), ['behind'])
})

test('a segment stays while the next one replaces entries of it', async () => {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  await append(wal, [entryAt(1), entryAt(2), entryAt(3, 'x'.repeat(11_000))])
  // Does not fit any more: the second segment begins behind entry 3 and replaces it.
  await append(wal, [entryAt(3, 'y'.repeat(4_000), 2)], 2)
  assert.equal(wal.fullSegments, 1)
  wal.dropTo(3)
  assert.equal(wal.fullSegments, 1)
  await append(wal, [entryAt(4, 'z'.repeat(11_000), 2)], 2)
  wal.dropTo(4)
  assert.equal(wal.fullSegments, 0)
  await wal.close()
  assert.equal((await recover(disk, 3)).entries.length, 1)
})

/** Three segments, the second of which replaces an entry of the first. */
async function writtenWithReplacement() {
  const disk = new SimulatedDisk()
  const wal = await WriteAheadLog.create(partsOf(disk), start)
  const members = encodeConfiguration({ ...nobody, voters: [7, 8, 9] })
  await append(wal, [
    entryAt(1),
    entryAt(2),
    createEntry(entryTypes.membership, members, { index: 3, term: 1 }),
  ])
  await append(wal, [entryAt(4, 'x'.repeat(11_000))])
  await append(wal, [entryAt(3, 'y'.repeat(11_000), 2)], 2)
  await append(wal, [entryAt(4, 'z'.repeat(4_000), 2)], 2)
  await append(wal, [entryAt(5, 'later', 2)], 2)
  await wal.close()
  return disk
}

test('a segment left over from a removal that a power cut interrupted is skipped, and goes next time', async () => {
  const disk = await writtenWithReplacement()
  await disk.remove(first)
  const recovered = await recover(disk, 3)
  assert.equal(recovered.position.index, 3)
  assert.deepEqual(textsOf(recovered.entries), ['z'.repeat(4_000), 'later'])
  const wal = await WriteAheadLog.resume(partsOf(disk), recovered)
  assert.equal(wal.fullSegments, 1)
  wal.dropTo(3)
  assert.equal(wal.fullSegments, 0)
  await wal.close()
  assert.deepEqual(textsOf((await recover(disk, 3)).entries), ['z'.repeat(4_000), 'later'])
})

test('a last segment that replaces entries of one that is gone stops the node', async () => {
  const disk = await writtenWithReplacement()
  await disk.remove(first)
  await disk.remove(segmentName(3))
  await assert.rejects(recoverLog(disk, 3, silentLog), isCorrupt)
})

test('a segment begins with the membership in force, not with one that was replaced', async () => {
  const disk = await writtenWithReplacement()
  await disk.remove(first)
  assert.deepEqual((await recover(disk, 3)).position.configuration, nobody)
})
