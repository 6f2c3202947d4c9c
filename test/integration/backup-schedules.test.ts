/** Backups by schedule on a real server: set, run, listed, kept and removed, told of by status, metrics and Events. */

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { BackupRun, BackupScheduleStatus } from '../../src/client/backup-schedule-status.ts'
import { run } from '../support/kubectl.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let node: TestNode
let place: string
const at = (name: string): string => join(node.dataDir, '..', name)

before(async () => {
  servers = await startServers({ count: 1 })
  const [first] = servers.nodes
  assert.ok(first)
  node = first
  place = at('backups')
  mkdirSync(place)
})
after(() => servers.remove())

async function ok(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await node.mk8s(args)
  assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

const schedules = async () =>
  JSON.parse(await ok(['backup', 'schedule', 'list', '--json'])) as BackupScheduleStatus[]

const find = async (name: string) => {
  const found = (await schedules()).find(schedule => schedule.name === name)
  assert.ok(found)
  return found
}

const set = (name: string, ...args: string[]) => ['backup', 'schedule', 'set', name, ...args]
const YEARLY = ['--cron', '0 3 1 1 *']

test('a schedule that could not be carried out is refused with a reason, and nothing is changed', async () => {
  const cases: [string[], RegExp][] = [
    [['Night', ...YEARLY, '--to', place], /small letters/],
    [['x', '--cron', '61 3 * * *', '--to', place], /minute/],
    [['x', '--cron', '* * * * * *', '--to', place], /five fields/],
    [['x', '--cron', '0 3 31 2 *', '--to', place], /no time that ever comes/],
    [['x', ...YEARLY, '--to', place, '--time-zone', 'Mars/Olympus'], /no time zone/],
    [['x', ...YEARLY, '--to', 'backups'], /neither an absolute path nor a URL/],
    [['x', ...YEARLY, '--to', `${place}/none`], /no such directory/],
    [['x', ...YEARLY, '--to', 'gopher://host/x'], /no kind of target/],
    [['x', ...YEARLY, '--to', place, '--secret', 'none'], /kube-system\/none does not exist/],
    [['x', ...YEARLY, '--to', place, '--keep-for', 'long'], /no span of time/],
    [['x', ...YEARLY, '--to', place, '--passphrase-in-secret'], /--secret/],
    [['x', ...YEARLY, '--to', place, '--public-key', '/etc/hostname'], /not a key in PEM/],
  ]
  for (const [args, why] of cases) {
    const { code, stderr } = await node.mk8s(set(args[0] ?? '', ...args.slice(1)))
    assert.ok(code === 2 || code === 1, `${args.join(' ')}: ${code} ${stderr}`)
    assert.match(stderr, why, args.join(' '))
  }
  await node.kubectl.ok(['-n', 'kube-system', 'create', 'secret', 'generic', 'plain', '--from-literal=a=b'])
  const plain = await node.mk8s(set('x', ...YEARLY, '--to', place, '--secret', 'plain'))
  assert.match(plain.stderr, /mk8s.io\/backup-target/)
  assert.deepEqual(await schedules(), [])
  assert.deepEqual(readdirSync(place), [])
})

test('a run that is asked for is waited for, counted and told of, and only its own old files go', async () => {
  await ok(set('nightly', ...YEARLY, '--to', place, '--keep', '2'))
  for (const name of ['notes.txt', 'mk8s-00000000-nightly-20200101T000000Z.mk8sbackup'])
    writeFileSync(join(place, name), 'not mine')
  const runs: BackupRun[] = []
  for (let count = 0; count < 3; count++) {
    runs.push(JSON.parse(await ok(['backup', 'schedule', 'run', 'nightly', '--json'])) as BackupRun)
    // Files are named by the second.
    await until('a second passes', () => Date.now() - Date.parse(runs.at(-1)?.startedAt ?? '') > 1_000)
  }
  const [first, second, third] = runs
  assert.deepEqual(third?.removed, [first?.file])
  assert.deepEqual(
    readdirSync(place).sort(),
    [second?.file, third?.file, 'mk8s-00000000-nightly-20200101T000000Z.mk8sbackup', 'notes.txt'].sort(),
  )
  await ok(['backup', 'verify', join(place, third?.file ?? '')])
  const listed = await ok(['backup', 'list', '--schedule', 'nightly'])
  assert.match(listed, new RegExp(third?.file ?? ''))

  const status = JSON.parse(await ok(['status', '--format', 'json'])) as { backups: BackupScheduleStatus[] }
  assert.equal(status.backups[0]?.lastSuccess?.file, third?.file)
  assert.match(await ok(['status']), /backups:\n {2}nightly: succeeded at .*; next at \d{4}-01-01T03:00:00Z/)
  assert.match(await ok(['status', '--format', 'short']), /backup\/nightly: succeeded/)
  assert.match(await ok(['status', '--format', 'yaml']), /outcome: Succeeded/)
  const metrics = await node.kubectl.ok(['get', '--raw', '/metrics'])
  const stamp = /mk8s_backup_last_success_timestamp_seconds\{schedule="nightly"\} ([\d.]+)/.exec(metrics)
  assert.equal(Number(stamp?.[1]) * 1_000, Date.parse(third?.finishedAt ?? ''))
  assert.match(metrics, /mk8s_backup_last_result\{schedule="nightly"\} 1/)
  await until('the Event is there', async () => {
    const events = await node.kubectl.ok(['-n', 'kube-system', 'get', 'events'])
    return /Normal\s+BackupCompleted\s+backupschedule\/nightly/.test(events)
  })
})

test('a failure is told by exit code, status, metric and Event; the next success ends it', async () => {
  const gone = at('gone')
  mkdirSync(gone)
  await ok(set('failing', ...YEARLY, '--to', gone))
  await run('rmdir', [gone])
  const failed = await node.mk8s(['backup', 'schedule', 'run', 'failing'])
  assert.equal(failed.code, 1)
  assert.match(failed.stderr, /no such directory/)
  const status = JSON.parse(await ok(['status', '--format', 'json'])) as {
    problems: { object: string; reason: string }[]
  }
  assert.ok(status.problems.some(({ object }) => object === 'backup-schedule/failing'))
  assert.match(await ok(['status']), /failing: failed at .*none has succeeded yet/)
  const metrics = () => node.kubectl.ok(['get', '--raw', '/metrics'])
  assert.match(await metrics(), /mk8s_backup_last_result\{schedule="failing"\} 0/)
  await until('the Event is there', async () => {
    const events = await node.kubectl.ok([
      '-n',
      'kube-system',
      'get',
      'events',
      '--field-selector',
      'type=Warning',
    ])
    return /BackupFailed\s+backupschedule\/failing\s+The backup failed: .*no such directory/.test(events)
  })
  mkdirSync(gone)
  await ok(['backup', 'schedule', 'run', 'failing'])
  assert.match(await metrics(), /mk8s_backup_last_result\{schedule="failing"\} 1/)
  await ok(['backup', 'schedule', 'remove', 'failing'])
  const removed = await node.mk8s(['backup', 'schedule', 'run', 'failing'])
  assert.match(removed.stderr, /there is no backup schedule/)
  assert.equal(readdirSync(gone).length, 1)
})

test('the credentials are in encrypted backups and in no other', async () => {
  const secret = 'the password of the target'
  await node.kubectl.ok([
    ...['-n', 'kube-system', 'create', 'secret', 'generic', 'target', '--type', 'mk8s.io/backup-target'],
    ...['--from-literal', `secret-access-key=${secret}`, '--from-literal', 'passphrase=open sesame'],
  ])
  const inspect = async (name: string, ...args: string[]) => {
    const file = JSON.parse(await ok(['backup', 'schedule', 'run', name, '--json'])) as BackupRun
    const path = join(place, file.file)
    const { stdout } = await node.mk8s(['backup', 'inspect', path, 'secrets', '-o', 'json', ...args])
    const { items } = JSON.parse(stdout) as { items: { metadata: { name: string } }[] }
    return items.map(({ metadata }) => metadata.name)
  }
  await ok(set('open', ...YEARLY, '--to', place, '--secret', 'target'))
  await ok(set('sealed', ...YEARLY, '--to', place, '--secret', 'target', '--passphrase-in-secret'))
  assert.ok(!(await inspect('open')).includes('target'))
  const file = at('passphrase')
  writeFileSync(file, 'open sesame\n')
  assert.ok((await inspect('sealed', '--passphrase-file', file)).includes('target'))
  const listed = await ok(['backup', 'list', place, '--json'])
  const told = JSON.parse(listed) as { name: string; encryption?: string }[]
  assert.equal(told.find(({ name }) => name.includes('-sealed-'))?.encryption, 'passphrase')
  for (const text of [await ok(['backup', 'schedule', 'list', '--json']), await node.log()])
    assert.doesNotMatch(text, /password of the target|open sesame/)
})

test('a schedule comes due by itself, once, and is left alone while it is suspended', async () => {
  await ok(set('minutely', '--cron', '* * * * *', '--to', place, '--keep-for', '1h'))
  await until('it has run', async () => (await find('minutely')).runs.length > 0)
  const { runs, nextRunAt } = await find('minutely')
  assert.equal(runs[0]?.outcome, 'Succeeded')
  assert.ok(runs[0]?.scheduledAt?.endsWith(':00.000Z'))
  assert.equal(Date.parse(nextRunAt ?? '') - Date.parse(runs[0]?.scheduledAt ?? ''), 60_000)
  await ok(set('minutely', '--cron', '* * * * *', '--to', place, '--keep-for', '1h', '--suspend'))
  const suspended = await find('minutely')
  assert.deepEqual([suspended.state, suspended.nextRunAt, suspended.runs.length], ['Suspended', null, 1])
})
