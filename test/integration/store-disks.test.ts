/**
 * What happens to the disks under members in processes of their own: the power is cut while they write, bits flip,
 * files shrink, a disk is full, a member loses everything or is so far behind that it needs a snapshot.
 */
import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { seededRandom } from '../../src/base/random.ts'
import { StoreClients } from '../support/store-clients.ts'
import { StoreCluster } from '../support/store-cluster.ts'
import {
  flipBit,
  forgetBoot,
  logEnd,
  overwrite,
  PoweredFileSystem,
  SmallFileSystem,
  segmentsOf,
  tearNextFrame,
  truncateDatabase,
  whyNoFileSystems,
} from '../support/store-damage.ts'
import { acknowledged } from '../support/store-failover.ts'
import { MemberError, type StoreMember } from '../support/store-member.ts'
import { until } from '../support/until.ts'

const MEBIBYTE = 1024 * 1024
/** More than a leader keeps in memory for members that lag. */
const BIG_BYTES = 48 * MEBIBYTE
const BIG_LOAD = { writers: 16, valueBytes: 128 * 1024 }

async function started(t: TestContext): Promise<StoreCluster> {
  const cluster = await StoreCluster.start({ size: 3 })
  t.after(() => cluster.close())
  return cluster
}

/** Writes so many bytes. */
async function fill(member: StoreMember, bytes: number): Promise<void> {
  for (let written = 0; written < bytes; ) {
    const { puts, failed } = await member.load({ ...BIG_LOAD, milliseconds: 300 })
    assert.equal(failed, 0)
    written += puts * BIG_LOAD.valueBytes
  }
}

async function refusal(member: StoreMember, what = 'this'): Promise<MemberError> {
  try {
    await member.start()
  } catch (error) {
    assert.ok(error instanceof MemberError, `${error}`)
    await member.exited
    return error
  }
  return assert.fail(`the store was opened with ${what}`)
}

/** The member's data is gone, so it stops being one, and begins again as one that learns. */
async function replace(cluster: StoreCluster, member: StoreMember): Promise<void> {
  const others = cluster.members.map(({ id }) => id).filter(id => id !== member.id)
  await cluster.changeMembership({ voters: others, learners: [] })
  rmSync(member.options.directory, { recursive: true })
  await cluster.changeMembership({ voters: others, learners: [member.id] })
  await member.start({ joins: true })
  await cluster.changeMembership({ voters: [...others, member.id], learners: [] })
  await acknowledged(member)
}

test('a power cut that tears the frames under way loses nothing that was acknowledged', async t => {
  const cluster = await started(t)
  const clients = new StoreClients({ cluster, random: seededRandom(21) })
  for (let cut = 0; cut < 2; cut++) {
    await clients.worked()
    await Promise.all(cluster.members.map(member => member.kill()))
    for (const { options } of cluster.members) {
      tearNextFrame(options.directory)
      forgetBoot(options.directory)
    }
    await Promise.all(cluster.members.map(member => member.start()))
    await acknowledged(cluster.member(2))
    for (const { log } of cluster.members) {
      assert.equal(log.filter(line => /"level":"warn".*torn tail/.test(line)).length, cut + 1)
    }
  }
  t.diagnostic(JSON.stringify(await clients.check()))
})

test('a power cut of all members at once loses what was never flushed, and nothing that was acknowledged', {
  skip: whyNoFileSystems() ?? false,
}, async t => {
  const cluster = await StoreCluster.create({ size: 3 })
  const disks = cluster.members.map(
    ({ id }) => new PoweredFileSystem(cluster.directory, `${id}`, 192 * MEBIBYTE),
  )
  t.after(async () => {
    await Promise.all(cluster.members.map(member => member.kill()))
    for (const disk of disks) disk.remove()
    await cluster.close()
  })
  await cluster.form(3)
  const clients = new StoreClients({ cluster, random: seededRandom(25) })
  // Enough for a checkpoint, and for the log to forget what that made durable.
  await fill(await cluster.leader(), 24 * MEBIBYTE)
  for (let cut = 0; cut < 2; cut++) {
    await clients.worked()
    for (const member of cluster.members) member.freeze()
    for (const disk of disks) disk.cut()
    await Promise.all(cluster.members.map(member => member.kill()))
    for (const disk of disks) disk.restore()
    for (const { options } of cluster.members) forgetBoot(options.directory)
    await Promise.all(cluster.members.map(member => member.start()))
    await acknowledged(cluster.member(2))
  }
  t.diagnostic(JSON.stringify(await clients.check()))
})

test('a member whose files are damaged says so and stays down, and rejoins without them', async t => {
  const cluster = await started(t)
  const clients = new StoreClients({ cluster, random: seededRandom(22), thinkMs: 20 })
  await fill(await cluster.leader(), 8 * MEBIBYTE)
  const member = must((await cluster.followers())[0], 'a follower')
  const { directory } = member.options
  const database = join(directory, 'state.sqlite')
  await member.kill()
  forgetBoot(directory)
  const intact = join(cluster.directory, 'intact')
  cpSync(directory, intact, { recursive: true })
  const damages: readonly (readonly [string, () => void])[] = [
    ['a flipped bit in the log', () => flipBit(must(segmentsOf(directory).at(-1), 'a segment'), 6_000, 3)],
    ['a last frame that is whole behind one that is not', () => breakBeforeLast(directory)],
    ['a missing log', () => rmSync(join(directory, 'wal'), { recursive: true })],
    ['a log without its last segment', () => rmSync(must(segmentsOf(directory).at(-1), 'a segment'))],
    ['half a database', () => truncateDatabase(directory)],
    ['a database without its first page', () => overwrite(database, 0, Buffer.alloc(4096))],
    ['a missing database', () => rmSync(database)],
  ]
  for (const [what, damage] of damages) {
    rmSync(directory, { recursive: true })
    cpSync(intact, directory, { recursive: true })
    damage()
    const error = await refusal(member, what)
    assert.equal(error.code, 'store/corrupt', `${what}: ${error.message}`)
    assert.notEqual(error.hint, '', what)
  }
  await replace(cluster, member)
  await clients.worked()
  t.diagnostic(JSON.stringify(await clients.check()))
})

function breakBeforeLast(directory: string): void {
  const { path, lastFrame } = logEnd(directory)
  flipBit(path, lastFrame - 1, 0)
}

test('a member that is far behind gets a snapshot, while leaders change', async t => {
  const cluster = await started(t)
  const clients = new StoreClients({ cluster, random: seededRandom(23), thinkMs: 20 })
  const lagging = must((await cluster.followers())[0], 'a follower')
  await lagging.kill()
  await fill(await cluster.leader(), BIG_BYTES)
  const { lastIndex } = await (await cluster.leader()).call('status')
  await lagging.start()
  const sees = await until('a snapshot is on its way', async () => {
    const { progress } = await (await cluster.leader()).call('status')
    const { snapshot, match } = must(
      progress.find(({ member }) => member === lagging.id),
      'progress of the lagging member',
    )
    return snapshot ? 'snapshot' : match >= lastIndex ? 'done' : false
  })
  t.diagnostic(`when the leader was killed: ${sees}`)
  const leader = await cluster.leader()
  await leader.kill()
  await leader.start()
  await acknowledged(lagging)
  await cluster.settle()
  t.diagnostic(JSON.stringify(await clients.check()))
})

test('a member with a full disk stops and says why, and goes on when there is room', {
  skip: whyNoFileSystems() ?? false,
}, async t => {
  const cluster = await StoreCluster.create({ size: 3 })
  const disk = new SmallFileSystem(join(cluster.directory, '2'), 28 * MEBIBYTE)
  t.after(async () => {
    await Promise.all(cluster.members.map(member => member.kill()))
    disk.remove()
    await cluster.close()
  })
  await cluster.form(3)
  const full = cluster.member(2)
  // The one whose disk will be full leads: that is the worst case.
  await (await cluster.leader()).call('transferLeadership', full.id)
  const clients = new StoreClients({ cluster, random: seededRandom(24), thinkMs: 20 })
  const other = cluster.member(3)
  await until('the disk is full', async () => {
    await other.load({ writers: 16, valueBytes: 64 * 1024, milliseconds: 300 })
    return !full.alive
  })
  const why = must(full.fatal, 'a reason')
  assert.equal(why.code, 'store/disk')
  assert.notEqual(why.hint, '')
  await acknowledged(other)
  const again = await refusal(full).catch((error: unknown) => {
    t.diagnostic(`it starts on the full disk: ${error}`)
    return null
  })
  if (again !== null) assert.equal(again.code, 'store/disk')
  await full.kill()
  disk.resize(512 * MEBIBYTE)
  await full.start()
  await acknowledged(full)
  t.diagnostic(JSON.stringify(await clients.check()))
})
