/** What is next while the cluster authority is being replaced: for the leader and for each server. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { systemRandom } from '../../../../src/base/random.ts'
import { issueAuthority } from '../../../../src/runtime/pki/issue.ts'
import { validityFrom } from '../../../../src/runtime/pki/validity.ts'
import {
  AUTHORITY_KEPT,
  PODS_MS,
  planRotation,
  planServer,
  type RotationFacts,
  type ServerFacts,
} from '../../../../src/runtime/rotation/plan-rotation.ts'
import {
  type AuthorityRotation,
  bundleAt,
  bundleNameOf,
  type RotationStage,
} from '../../../../src/runtime/rotation/rotation-record.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const DAY_MS = 86_400_000
let trusting: AuthorityRotation

before(async () => {
  const make = async (name: string) => {
    const pair = await issueAuthority(name, validityFrom(NOW_MS, 10), systemRandom)
    return pair.certificate
  }
  trusting = {
    stage: 'trust',
    earlier: await make('earlier'),
    next: await make('next'),
    cross: 'cross',
    beganBy: 1,
    beganAt: '2026-01-01T00:00:00Z',
    usedMs: null,
    dropAsked: false,
  }
})

const at = (stage: RotationStage, over: Partial<AuthorityRotation> = {}): AuthorityRotation => ({
  ...trusting,
  stage,
  ...over,
})

/** Three servers and a worker, all of which have what the stage asks for. */
function allThere(rotation: AuthorityRotation, over: Partial<RotationFacts> = {}): RotationFacts {
  const bundle = bundleNameOf(rotation)
  return {
    rotation,
    bundle,
    kept: AUTHORITY_KEPT,
    servers: [1, 2, 3].map(id => ({ id, nodeName: `n${id}` })),
    confirmed: new Map([1, 2, 3].map(id => [id, bundle])),
    workers: [{ name: 'w1', wanted: bundle, trusted: bundle }],
    nowMs: NOW_MS,
    ...over,
  }
}

test('the next authority signs once every node trusts it', () => {
  const rotation = at('trust')
  assert.deepEqual(planRotation(allThere(rotation)), { type: 'write', rotation: at('sign') })
  const bundle = bundleNameOf(rotation)
  const confirmed = new Map([[1, bundle]])
  const step = planRotation(allThere(rotation, { confirmed }))
  assert.deepEqual(step, { type: 'wait', for: ['n2', 'n3'], untilMs: null })
})

test('a confirmation of another stage does not count', () => {
  const confirmed = new Map([1, 2, 3].map(id => [id, bundleNameOf(at('trust'))]))
  const step = planRotation(allThere(at('sign'), { confirmed }))
  assert.deepEqual(step, { type: 'wait', for: ['n1', 'n2', 'n3'], untilMs: null })
})

test('workers are told when all servers are there, and then waited for', () => {
  const rotation = at('sign')
  const bundle = bundleNameOf(rotation)
  const [old, workers] = [bundleNameOf(at('trust')), [{ name: 'w1', wanted: undefined, trusted: undefined }]]
  const confirmed = new Map([[1, bundle]])
  const early = planRotation(allThere(rotation, { workers, confirmed }))
  assert.equal(early.type, 'wait')
  assert.deepEqual(planRotation(allThere(rotation, { workers })), { type: 'tell', workers: ['w1'], bundle })
  const told = [{ name: 'w1', wanted: bundle, trusted: old }]
  const step = planRotation(allThere(rotation, { workers: told }))
  assert.deepEqual(step, { type: 'wait', for: ['w1'], untilMs: null })
  assert.equal(planRotation(allThere(rotation, { workers: [] })).type, 'write')
})

test('the earlier one goes a week after all use the next one, or on request as soon as pods have it', () => {
  const first = planRotation(allThere(at('sign')))
  assert.deepEqual(first, { type: 'write', rotation: at('sign', { usedMs: NOW_MS }) })
  const used = at('sign', { usedMs: NOW_MS })
  const untilMs = NOW_MS + 7 * DAY_MS
  assert.deepEqual(planRotation(allThere(used, { nowMs: untilMs - 1 })), { type: 'wait', for: [], untilMs })
  const drop = { type: 'write', rotation: at('drop', { usedMs: NOW_MS }) }
  assert.deepEqual(planRotation(allThere(used, { nowMs: untilMs })), drop)
  const asked = at('sign', { usedMs: NOW_MS, dropAsked: true })
  assert.equal(planRotation(allThere(asked, { nowMs: NOW_MS + PODS_MS - 1 })).type, 'wait')
  assert.equal(planRotation(allThere(asked, { nowMs: NOW_MS + PODS_MS })).type, 'write')
  const offAgain = new Map([[1, bundleNameOf(asked)]])
  const late = planRotation(allThere(asked, { nowMs: untilMs, confirmed: offAgain }))
  assert.deepEqual(late, { type: 'wait', for: ['n2', 'n3'], untilMs: null })
  assert.deepEqual(planRotation(allThere(at('drop'))), { type: 'end', done: true })
})

test('without the server that made it, one that has the key is enough, and none is the end', () => {
  const rotation = at('trust')
  const servers = [2, 3].map(id => ({ id, nodeName: `n${id}` }))
  const none = planRotation(allThere(rotation, { servers, confirmed: new Map() }))
  assert.deepEqual(none, { type: 'end', done: false })
  const confirmed = new Map([[2, bundleNameOf(rotation)]])
  assert.equal(planRotation(allThere(rotation, { servers, confirmed })).type, 'wait')
})

const server = (over: Partial<ServerFacts>): ServerFacts => ({
  trusted: [trusting.earlier],
  coming: null,
  cross: null,
  rotation: trusting,
  nowMs: NOW_MS,
  ...over,
})

test('a server gets the key first, then trusts both, then signs with the next one, then forgets', () => {
  const { earlier, next, cross } = trusting
  assert.deepEqual(planServer(server({})), { type: 'fetch' })
  assert.deepEqual(planServer(server({ coming: earlier })), { type: 'fetch' })
  const both = planServer(server({ coming: next }))
  assert.deepEqual(both, { type: 'set', bundle: [earlier, next], cross: null })
  assert.deepEqual(planServer(server({ coming: next, trusted: [earlier, next] })), { type: 'none' })
  const sign = planServer(server({ coming: next, trusted: [earlier, next], rotation: at('sign') }))
  assert.deepEqual(sign, { type: 'set', bundle: [next, earlier], cross })
  const signing = { trusted: [next, earlier], cross }
  assert.deepEqual(planServer(server({ ...signing, rotation: at('sign') })), { type: 'none' })
  const drop = planServer(server({ ...signing, rotation: at('drop') }))
  assert.deepEqual(drop, { type: 'set', bundle: [next], cross: null })
  assert.deepEqual(planServer(server({ trusted: [next], rotation: at('drop') })), { type: 'none' })
})

test('a server that was off, or that has just joined, goes on from what it has', () => {
  const { earlier, next, cross } = trusting
  assert.deepEqual(planServer(server({ rotation: at('sign') })), { type: 'fetch' })
  const late = planServer(server({ coming: next, rotation: at('sign') }))
  assert.deepEqual(late, { type: 'set', bundle: [next, earlier], cross })
  const joined = planServer(server({ trusted: [next, earlier], rotation: at('sign') }))
  assert.deepEqual(joined, { type: 'set', bundle: [next, earlier], cross })
})

test('what is read of an earlier stage takes no server back', () => {
  const { earlier, next, cross } = trusting
  assert.deepEqual(planServer(server({ trusted: [next, earlier], cross })), { type: 'none' })
  assert.deepEqual(planServer(server({ trusted: [next], rotation: at('sign') })), { type: 'none' })
})

test('without a record, what was given up is not trusted, and an earlier authority for a week only', () => {
  const { earlier, next } = trusting
  const trusted = bundleAt(trusting, 'trust')
  const givenUp = planServer(server({ trusted, coming: next, rotation: null }))
  assert.deepEqual(givenUp, { type: 'set', bundle: [earlier], cross: null })
  assert.deepEqual(planServer(server({ coming: next, rotation: null })), { type: 'none' })
  const old = { trusted: [next, earlier], rotation: null }
  assert.deepEqual(planServer(server(old)), { type: 'none' })
  const nowMs = NOW_MS + 7 * DAY_MS
  assert.deepEqual(planServer(server({ ...old, nowMs })), { type: 'set', bundle: [next], cross: null })
})
