import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  applyOutcome,
  eagerDelayMs,
  initialState,
  type ProbeKind,
  resolvePort,
} from '../../../../../src/runtime/kubelet/probes/plan-probe.ts'

/** The verdict after each outcome: `+` ok, `-` failed. */
function verdicts(kind: ProbeKind, outcomes: string, probe = {}): string {
  let state = initialState(kind)
  const seen = [...outcomes].map(outcome => {
    state = applyOutcome(state, outcome === '+', probe)
    return state.verdict
  })
  return seen.join(' ')
}

test('a container is not ready until proven, and again after three failures in a row', () => {
  assert.equal(initialState('readiness').verdict, 'failure')
  assert.equal(
    verdicts('readiness', '-+--+---'),
    'failure success success success success success success failure',
  )
  assert.equal(verdicts('readiness', '++', { successThreshold: 2 }), 'failure success')
})

test('a container lives until proven dead, and has started once proven', () => {
  assert.equal(verdicts('liveness', '--+-', {}), 'success success success success')
  assert.equal(verdicts('liveness', '-', { failureThreshold: 1 }), 'failure')
  assert.equal(verdicts('startup', '--+'), 'unknown unknown success')
  assert.equal(verdicts('startup', '---'), 'unknown unknown failure')
})

test('the first answer is asked for more and more slowly, up to half the period', () => {
  const delays = [0, 1, 2, 3, 4, 5, 6].map(attempt => eagerDelayMs(attempt, { periodSeconds: 10 }))
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, null])
  assert.equal(eagerDelayMs(3, { periodSeconds: 1 }), null)
})

test('ports can be names', () => {
  const container = { name: 'a', ports: [{ name: 'http', containerPort: 8080 }] }
  assert.deepEqual(
    [resolvePort('http', container), resolvePort('81', container), resolvePort('no', container)],
    [8080, 81, null],
  )
})
