/** Who is signed in to the dashboard, for how long, and how often one may try. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import {
  IDLE_MS_MAX,
  SESSION_MS_MAX,
  Sessions,
  tokenExpiryMs,
} from '../../../../../src/runtime/addons/dashboard/sessions.ts'
import {
  FAILURES_MAX,
  FAILURES_OF_ALL_MAX,
  SignInLimits,
} from '../../../../../src/runtime/addons/dashboard/sign-in-limits.ts'

function begin() {
  const time = { now: 1_000_000 }
  const clock = { ...systemClock, now: () => time.now, monotonic: () => time.now }
  return { time, clock, sessions: new Sessions(clock, systemRandom) }
}

const ann = { user: 'ann', token: 't', expiresAtMs: Number.MAX_SAFE_INTEGER }

test('a session is found by both of its secrets together only', () => {
  const { sessions } = begin()
  const [one, other] = [sessions.open(ann), sessions.open({ ...ann, user: 'bob' })]
  assert.ok(one && other)
  assert.equal(sessions.find(one)?.user, 'ann')
  assert.equal(sessions.find({ id: one.id }), undefined)
  assert.equal(sessions.find({ key: one.key }), undefined)
  assert.equal(sessions.find({ id: one.id, key: other.key }), undefined)
  assert.equal(sessions.find({ id: 'made-up', key: one.key }), undefined)
})

test('a session ends with its token, after half a day, and when nobody uses it; its streams end with it', () => {
  const { sessions, time } = begin()
  const short = sessions.open({ ...ann, expiresAtMs: time.now + 1_000 })
  const ended = sessions.find(short ?? {})?.ended.signal
  time.now += 1_000
  assert.equal(sessions.find(short ?? {}), undefined)
  assert.equal(ended?.aborted, true)
  const idle = sessions.open(ann)
  time.now += IDLE_MS_MAX + 1
  assert.equal(sessions.find(idle ?? {}), undefined)
  const busy = sessions.open(ann)
  const session = sessions.find(busy ?? {})
  assert.ok(session)
  session.requests = 1
  time.now += IDLE_MS_MAX + 1
  assert.equal(sessions.find(busy ?? {}), session, 'with a stream open nobody is idle')
  time.now += SESSION_MS_MAX
  assert.equal(sessions.find(busy ?? {}), undefined)
})

test('who signs out is out, and there is room for so many only', () => {
  const { sessions } = begin()
  const mine = sessions.open(ann)
  const session = sessions.find(mine ?? {})
  assert.ok(session)
  sessions.close(session)
  assert.equal(sessions.find(mine ?? {}), undefined)
  let opened = 0
  while (opened < 10_000 && sessions.open(ann) !== null) opened++
  assert.equal(opened, 500)
})

test('the end of a token is read out of it, and of what is none there is none', () => {
  const claims = (value: unknown) => `a.${Buffer.from(JSON.stringify(value)).toString('base64url')}.c`
  assert.equal(tokenExpiryMs(claims({ exp: 12 })), 12_000)
  for (const token of [claims({}), claims(null), claims({ exp: 'x' }), 'opaque', 'a.!.c'])
    assert.equal(tokenExpiryMs(token), null)
})

test('whoever fails to sign in too often has to wait, by address and by network of IPv6', () => {
  const { clock, time } = begin()
  const limits = new SignInLimits(clock)
  for (let count = 0; count < FAILURES_MAX; count++) {
    assert.equal(limits.waitSeconds('192.0.2.1'), 0)
    limits.failed('192.0.2.1')
    limits.failed(`2001:db8:1:2::${count}`)
  }
  assert.equal(limits.waitSeconds('192.0.2.1'), 60)
  assert.equal(limits.waitSeconds('2001:db8:1:2::ffff'), 60)
  assert.equal(limits.waitSeconds('192.0.2.2'), 0)
  time.now += 60_000
  assert.equal(limits.waitSeconds('192.0.2.1'), 0)
  for (let count = 0; count < FAILURES_OF_ALL_MAX; count++) limits.failed(`192.0.2.${count}`)
  assert.equal(limits.waitSeconds('198.51.100.1'), 60, 'all together have a limit too')
})
