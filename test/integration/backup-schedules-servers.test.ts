/** Backups by schedule on three servers: a leader that is lost between two runs, and one that is lost in the middle. */

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import type { BackupRun, BackupScheduleStatus } from '../../src/client/backup-schedule-status.ts'
import { startServers, type TestNode, type TestServers, untilStatus } from '../support/servers.ts'
import { until } from '../support/until.ts'

const MISSED_MAX = 20

let servers: TestServers
let parent: string

before(async () => {
  servers = await startServers({ count: 3 })
  parent = join(must(servers.nodes[0], 'a server').dataDir, '..')
  await until('three servers vote', async () => {
    const { datastore } = await must(servers.nodes[0], 'a server').status()
    return datastore?.members.filter(({ role }) => role === 'voter').length === 3
  })
})
after(() => servers.remove())

async function ok(node: TestNode, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await node.mk8s(args)
  assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

async function scheduleOn(node: TestNode, name: string): Promise<BackupScheduleStatus> {
  const all = JSON.parse(await ok(node, ['backup', 'schedule', 'list', '--json'])) as BackupScheduleStatus[]
  return must(
    all.find(schedule => schedule.name === name),
    name,
  )
}

/** The leader, and the others. */
async function roles(): Promise<{ leader: TestNode; others: TestNode[] }> {
  return await until('there is a leader', async () => {
    const { datastore } = await must(servers.nodes[0], 'a server').status()
    const name = datastore?.members.find(member => member.leader)?.name
    const leader = servers.nodes.find(node => node.name === name)
    return leader && { leader, others: servers.nodes.filter(node => node !== leader) }
  })
}

/** Of the datastore, which a backup is made of. */
const copiesOn = ({ dataDir }: TestNode): readonly string[] =>
  readdirSync(join(dataDir, 'datastore')).filter(name => name.startsWith('backup-'))

/** A run is short, so that a look may miss it: then another one is asked for. */
async function runUnderWay(leader: TestNode, other: TestNode) {
  for (let missed = 0; missed < MISSED_MAX; missed++) {
    const asked = other.mk8s(['backup', 'schedule', 'run', 'asked', '--json'])
    let isOver = false
    void asked.then(() => {
      isOver = true
    })
    const seen = await until('it runs', () => (copiesOn(leader).length > 0 ? 'running' : isOver && 'over'))
    if (seen === 'running') return { asked, missed }
  }
  throw new Error(`${MISSED_MAX} runs were over before anybody saw them`)
}

/** Back as it was, for the next test. */
async function bringBack(node: TestNode): Promise<void> {
  await node.powerOn()
  await untilStatus(node, 'it is ready again', status => status['ready'] === true)
}

test('the next leader goes on: every minute is backed up exactly once', async () => {
  const place = join(parent, 'minutely')
  mkdirSync(place)
  const { leader, others } = await roles()
  const other = must(others[0], 'another server')
  await ok(other, [
    'backup',
    'schedule',
    'set',
    'minutely',
    '--cron',
    '* * * * *',
    '--to',
    place,
    '--keep',
    '50',
  ])
  await until('the leader has run it', async () => (await scheduleOn(other, 'minutely')).runs.length > 0)
  leader.powerOff()
  const runs = await until('the next leader has run it', async () => {
    const found = (await scheduleOn(other, 'minutely')).runs
    return found.length > 1 && found
  })
  const minutes = runs.map(({ scheduledAt }) => Date.parse(scheduledAt ?? ''))
  assert.ok(runs.every(({ outcome }) => outcome === 'Succeeded'))
  assert.deepEqual(
    minutes,
    minutes.map((_, at) => must(minutes[0], 'a run') - at * 60_000),
  )
  assert.notEqual(runs[0]?.node, runs.at(-1)?.node)
  await ok(other, ['backup', 'schedule', 'remove', 'minutely'])
  assert.deepEqual(readdirSync(place).sort(), runs.map(({ file }) => file).sort())
  await bringBack(leader)
})

test('a run whose leader is killed in the middle is made by the next one, and nothing is left of the first', async () => {
  const place = join(parent, 'asked')
  mkdirSync(place)
  const { leader, others } = await roles()
  const other = must(others[0], 'another server')
  await ok(other, ['backup', 'schedule', 'set', 'asked', '--cron', '@yearly', '--to', place])
  const { asked, missed } = await runUnderWay(leader, other)
  leader.powerOff()
  const { code, stdout, stderr } = await asked
  assert.equal(code, 0, `${stdout}${stderr}`)
  const run = JSON.parse(stdout) as BackupRun
  assert.notEqual(run.node, leader.name)
  assert.equal(run.failures, 1)
  const { runs } = await scheduleOn(other, 'asked')
  assert.equal(runs.length, missed + 1)
  assert.deepEqual(readdirSync(place).sort(), runs.map(({ file }) => file).sort())
  await ok(other, ['backup', 'verify', join(place, run.file)])
  await bringBack(leader)
  assert.deepEqual(copiesOn(leader), [])
})
