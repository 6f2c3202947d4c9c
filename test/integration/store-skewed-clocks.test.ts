/**
 * Three members whose machines disagree about the time by minutes: nobody's promise rests on a wall clock. The
 * clocks are shifted by libfaketime, in all threads and in TLS too; what measures durations runs on as it is.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { StoreCluster } from '../support/store-cluster.ts'
import type { StoreMember } from '../support/store-member.ts'
import { until } from '../support/until.ts'

/** Certificates are valid from an hour before their issue. */
const SKEWS = ['-25m', '+0', '+20m'] as const
const found = spawnSync('faketime', ['-m', '-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' })
const library = found.status === 0 ? found.stdout.trim() : ''
const skip = library === '' ? 'libfaketime is not installed (Debian: apt-get install faketime)' : false

/** Without the program `faketime`, which would stay between a member and its parent. */
const skewed = (skew: string): readonly string[] =>
  skew === '+0' ? [] : ['env', `LD_PRELOAD=${library}`, `FAKETIME=${skew}`, 'FAKETIME_DONT_FAKE_MONOTONIC=1']

/** Addresses that no other test's cluster has. */
const places = SKEWS.map((skew, at) => ({
  address: `127.63.${(process.pid >> 5) & 0xff}.${((process.pid & 0x1f) << 3) + at + 1}`,
  prefix: skewed(skew),
}))

const put = (member: StoreMember, key: string, value: string, lease = 0) =>
  member.call('transact', {
    compares: [],
    operations: [{ type: 'put', key, value: Buffer.from(value), ...(lease > 0 && { lease }) }],
  })

async function read(member: StoreMember, key: string): Promise<string | null> {
  await member.call('barrier')
  const found = await member.call('get', key)
  return found === null ? null : Buffer.from(found.value).toString()
}

describe('members whose clocks differ by minutes', { skip }, () => {
  let cluster: StoreCluster
  before(async () => {
    const [program = '', ...args] = skewed(SKEWS[0])
    const said = spawnSync(program, [...args, process.execPath, '-p', 'Date.now()'])
    const shift = Date.now() - Number(said.stdout)
    assert.ok(Math.abs(shift - 25 * 60_000) < 10_000, `the clock is shifted by ${shift} ms`)
    cluster = await StoreCluster.start({ size: 3, places })
  })
  after(async () => await cluster?.close())

  test('a write through any member is read at once through every other', async () => {
    for (const writer of cluster.members) {
      await put(writer, '/s/a', `of ${writer.id}`)
      for (const reader of cluster.members) assert.equal(await read(reader, '/s/a'), `of ${writer.id}`)
    }
  })

  test('a lease lives its time, and no shorter, whoever leads', async () => {
    for (const member of cluster.members) {
      await cluster.leader()
      const granter = member
      const begun = performance.now()
      const lease = await granter.call('grantLease', 1_500)
      await put(granter, '/s/l', 'x', lease)
      await until('the lease is over', async () => (await read(granter, '/s/l')) === null)
      const lived = performance.now() - begun
      assert.ok(lived >= 1_450 && lived < 6_000, `it lived ${lived.toFixed(0)} ms`)
      const leader = await cluster.leader()
      const next = cluster.members.find(({ id }) => id === (leader.id % cluster.members.length) + 1)
      await leader.call('transferLeadership', next?.id ?? 1)
    }
  })

  test('when the leader dies another one leads, and nothing is lost', async () => {
    const leader = await cluster.leader()
    await put(leader, '/s/kept', 'yes')
    await leader.kill()
    const [other] = cluster.members.filter(member => member !== leader)
    assert.ok(other)
    await put(other, '/s/after', 'yes')
    await leader.start()
    for (const member of cluster.members)
      assert.deepEqual([await read(member, '/s/kept'), await read(member, '/s/after')], ['yes', 'yes'])
  })
})
