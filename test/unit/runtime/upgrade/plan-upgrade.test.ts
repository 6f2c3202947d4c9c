/** What may follow what, how a cut-off upgrade goes on, and the order of a cluster's nodes: tables. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { type Formats, formatProblems } from '../../../../src/runtime/upgrade/formats.ts'
import { planRollOut, rollOutProblem } from '../../../../src/runtime/upgrade/plan-roll-out.ts'
import { planResumption, STARTS_MAX, upgradeProblems } from '../../../../src/runtime/upgrade/plan-upgrade.ts'
import type { UpgradeRecord, UpgradeStage } from '../../../../src/runtime/upgrade/upgrade-journal.ts'
import { planWindow } from '../../../../src/runtime/upgrade/upgrade-schedule.ts'
import { compareVersions, mayMeet, ownVersionIn } from '../../../../src/runtime/upgrade/versions.ts'

const formats = (written: number, newestRead = written): Formats => ({
  database: { oldestRead: 1, newestRead, written },
})

test('versions are compared by number, and a release comes after what led to it', () => {
  assert.ok(compareVersions('0.2.0', '0.10.0') < 0)
  assert.ok(compareVersions('1.0.0-rc.2', '1.0.0-rc.10') < 0)
  assert.ok(compareVersions('1.0.0', '1.0.0-rc.1') > 0)
  assert.equal(compareVersions('v1.2.3', '1.2.3'), 0)
  assert.equal(mayMeet('0.1.9', '0.2.0'), true)
  assert.equal(mayMeet('0.1.9', '0.3.0'), false)
  assert.equal(ownVersionIn('v1.36.0+mk8s.0.1.0'), '0.1.0')
  assert.equal(ownVersionIn('v1.36.0'), null)
})

test('formats are checked both ways', () => {
  assert.deepEqual(formatProblems(formats(4), formats(4)), [])
  assert.deepEqual(formatProblems(formats(4), formats(3)), ['it does not read format 4 of database'])
  assert.match(formatProblems(formats(4), formats(5))[0] ?? '', /no way back/)
  assert.deepEqual(formatProblems(formats(4, 5), formats(5)), [])
  assert.deepEqual(formatProblems(formats(4), {}), ['it does not know the format of database'])
})

test('a version may follow unless it is older, too far away from any node, or says nothing of formats', () => {
  const problems = (version: string, over: object = {}) =>
    upgradeProblems({
      present: { version: '0.2.0', formats: formats(4) },
      next: { version, formats: formats(4) },
      others: [],
      isRollback: false,
      ...over,
    })
  assert.deepEqual(problems('0.3.0'), [])
  assert.match(problems('0.1.9')[0] ?? '', /older/)
  assert.deepEqual(problems('0.1.9', { isRollback: true }), [])
  assert.match(problems('0.4.0')[0] ?? '', /more than one minor version/)
  assert.match(problems('0.3.0', { others: [{ name: 'n2', version: '0.1.0' }] })[0] ?? '', /n2 has 0\.1\.0/)
  assert.match(problems('0.3.0', { next: { version: '0.3.0', formats: null } })[0] ?? '', /formats/)
})

test('a cut-off upgrade is finished once the executable is in place, and discarded before', () => {
  const kind = (stage: UpgradeStage, isSwitched: boolean, starts = 0, ownerAlive = false) => {
    const owner = { pid: 1, startedAt: '', boot: '' } as unknown as UpgradeRecord['owner']
    const names = { from: '0.1.0', to: '0.1.1', program: '/mk8s', sum: '', why: '' }
    return planResumption({ ...names, stage, owner, starts }, { ownerAlive, isSwitched }).kind
  }
  assert.equal(kind('staged', false), 'discard')
  assert.equal(kind('switching', false), 'discard')
  assert.equal(kind('switching', true), 'finish')
  assert.equal(kind('restarting', true), 'finish')
  assert.equal(kind('restarting', true, STARTS_MAX + 1), 'go-back')
  assert.equal(kind('going-back', true), 'go-back')
  assert.equal(kind('going-back', false), 'go-back')
  for (const stage of ['done', 'failed'] as const) assert.equal(kind(stage, true), 'none')
  assert.equal(kind('restarting', true, 9, true), 'none')
  assert.equal(planResumption(null, { ownerAlive: false, isSwitched: false }).kind, 'none')
})

const node = (name: string, over: object = {}) => ({
  ...{ name, version: '0.1.0', isServer: true, isLeader: false, isReady: true },
  ...over,
})

test('servers come first, the leader last among them, then workers; who has the version is left out', () => {
  const nodes = [
    node('a-worker', { isServer: false }),
    node('n1', { isLeader: true }),
    node('n2'),
    node('n3', { version: '0.1.1' }),
    node('n4'),
    node('foreign', { version: null, isServer: false }),
  ]
  assert.deepEqual(
    planRollOut(nodes, '0.1.1').map(({ name }) => name),
    ['n2', 'n4', 'n1', 'a-worker'],
  )
})

test('no server is begun with while another one is not well; a worker needs only itself to be Ready', () => {
  const lost = node('n3', { isReady: false })
  assert.match(rollOutProblem([node('n1'), node('n2'), lost], node('n2')) ?? '', /n3: not Ready/)
  const worker = node('w', { isServer: false })
  assert.equal(rollOutProblem([lost, worker], worker), null)
  assert.match(rollOutProblem([node('n1')], { ...worker, isReady: false }) ?? '', /w is not Ready/)
})

test('a window is made use of once, after a delay of its own, and not when it is over', () => {
  const weekly = { cron: '0 3 * * 0', timeZone: 'UTC', windowSeconds: 7_200, from: '/releases', channel: '' }
  const sunday = Date.parse('2026-11-22T03:00:00Z')
  const plan = (minutes: number, lastWindowMs = 0, jitter = 0.5) =>
    planWindow(weekly, { lastWindowMs, nowMs: sunday + minutes * 60_000, jitter })
  assert.equal(plan(-1).kind, 'wait')
  assert.equal(plan(14).kind, 'wait')
  assert.deepEqual(plan(15), { kind: 'begin', windowMs: sunday, endMs: sunday + 7_200_000 })
  assert.equal(plan(119).kind, 'begin')
  assert.equal(plan(121).kind, 'wait')
  assert.equal(plan(60, sunday).kind, 'wait')
})
