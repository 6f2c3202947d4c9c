/** What becomes of a token and its uses, decided purely. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/base/random.ts'
import { newTokenText, tokenTextProblem } from '../../../../src/runtime/join/token-text.ts'
import {
  commit,
  confirm,
  findToken,
  type JoinAttempt,
  type JoinToken,
  makeToken,
  RESERVATION_MS,
  release,
  reserve,
  timeText,
  UNCONFIRMED_MS,
  upkeep,
} from '../../../../src/runtime/join/tokens.ts'

const random = seededRandom(5)
const NOW = Date.parse('2026-03-01T00:00:00Z')
const HOUR = 3_600_000

const tokenOf = (over: { uses?: number | null; ttlMs?: number; text?: string } = {}): JoinToken =>
  makeToken({ text: newTokenText(random), worker: false, uses: 1, ttlMs: HOUR, nowMs: NOW, ...over }, random)

const attemptOf = (name: string, nowMs = NOW): JoinAttempt => ({
  id: `id-${name}-${nowMs}`,
  secretHash: '',
  node: {
    name,
    role: 'server',
    address: '10.0.0.2',
    ports: { api: 16_443, join: 25_000, raft: 19_001, kubelet: 10_250 },
    failureDomain: '',
  },
  memberId: 2,
  state: 'reserved',
  expiresAt: timeText(nowMs + RESERVATION_MS),
})

function reserved(token: JoinToken, attempt: JoinAttempt, nowMs = NOW): JoinToken {
  const outcome = reserve(token, attempt, nowMs)
  assert.ok(outcome.kind === 'reserved' && 'token' in outcome, outcome.kind)
  return outcome.token
}

test('a token is 32 letters and digits that nobody mistakes, and passes its own check', () => {
  for (let count = 0; count < 200; count++) {
    const text = newTokenText(random)
    assert.match(text, /^[2-9a-km-np-z]{32}$/)
    assert.equal(tokenTextProblem(text), undefined)
  }
})

test('tokens that are short, odd or easy to guess are refused without being shown', () => {
  for (const text of [
    'abc',
    'a'.repeat(32),
    'abababababababababababababababab',
    `${'x9'.repeat(20)}/..`,
    '',
  ]) {
    const problem = tokenTextProblem(text)
    assert.ok(problem !== undefined, text)
    assert.ok(text === '' || !problem.includes(text))
  }
  assert.equal(tokenTextProblem('0123456789abcdef0123456789abcdef'), undefined)
})

test('the record of a token holds nothing that opens it, and finds it all the same', () => {
  const text = newTokenText(random)
  const tokens = [tokenOf(), tokenOf({ text }), tokenOf()]
  assert.ok(!JSON.stringify(tokens).includes(text))
  assert.equal(findToken(tokens, text), tokens[1])
  assert.equal(findToken(tokens, `${text}x`), undefined)
  assert.equal(findToken(tokens, ''), undefined)
})

test('one use is one node: reserved by one, free again when that gives up, gone when it is in', () => {
  const first = attemptOf('n2')
  const held = reserved(tokenOf(), first)
  const other = attemptOf('n3')
  assert.deepEqual(reserve(held, other, NOW), { kind: 'reserved', by: 'n2' })
  assert.equal(reserved(release(held, first.id), other).attempts.length, 1)
  const committed = commit(held, first.id, NOW)
  assert.equal(committed.usesLeft, 0)
  assert.equal(reserve(committed, other, NOW).kind, 'used')
  assert.equal(confirm(committed, first.id), null)
  assert.equal(release(committed, first.id).usesLeft, 1)
  assert.equal(release(release(committed, first.id), first.id).usesLeft, 1)
})

test('the same node may try again at once, and others once the reservation has lapsed', () => {
  const held = reserved(tokenOf(), attemptOf('n2'))
  const again = attemptOf('n2', NOW + 1)
  assert.deepEqual(
    reserved(held, again, NOW + 1).attempts.map(({ id }) => id),
    [again.id],
  )
  const later = NOW + RESERVATION_MS
  assert.equal(reserved(held, attemptOf('n3', later), later).attempts.length, 1)
})

test('a token of several uses counts each, and one of any number counts none', () => {
  let token = tokenOf({ uses: 2 })
  for (const name of ['n2', 'n3']) {
    const attempt = attemptOf(name)
    token = commit(reserved(token, attempt), attempt.id, NOW)
  }
  assert.equal(reserve(token, attemptOf('n4'), NOW).kind, 'used')
  const endless = tokenOf({ uses: null })
  const attempt = attemptOf('n2')
  assert.equal(commit(reserved(endless, attempt), attempt.id, NOW).usesLeft, null)
})

test('an expired token is refused', () => {
  const token = tokenOf({ ttlMs: 1_000 })
  assert.equal(reserve(token, attemptOf('n2'), NOW + 1_000).kind, 'expired')
  assert.equal(reserve(token, attemptOf('n2'), NOW + 999).kind, 'reserved')
})

test('time takes reservations and tokens away, and takes back who never came', () => {
  const attempt = attemptOf('n2')
  const held = reserved(tokenOf({ ttlMs: 2 * HOUR }), attempt)
  const never = () => false
  assert.equal(upkeep(held, NOW, never), undefined)
  const lapsed = upkeep(held, NOW + RESERVATION_MS, never)
  assert.deepEqual([lapsed?.token?.attempts, lapsed?.abandoned], [[], []])
  const committed = commit(held, attempt.id, NOW)
  assert.equal(upkeep(committed, NOW + UNCONFIRMED_MS - 1, never), undefined)
  const late = NOW + UNCONFIRMED_MS
  const taken = upkeep(committed, late, never)
  assert.equal(taken?.token?.usesLeft, 1)
  assert.deepEqual(
    taken?.abandoned.map(({ id }) => id),
    [attempt.id],
  )
  assert.deepEqual(
    upkeep(committed, late, () => true),
    { token: null, abandoned: [] },
  )
  assert.equal(upkeep(tokenOf(), NOW + HOUR, never), undefined)
  assert.deepEqual(upkeep(tokenOf(), NOW + 2 * HOUR, never), { token: null, abandoned: [] })
})
