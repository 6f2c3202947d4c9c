import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePressureSettings } from '../../../../../src/runtime/kubelet/pressure/eviction-settings.ts'
import {
  dueOf,
  nextHeld,
  type Threshold,
  unmet,
} from '../../../../../src/runtime/kubelet/pressure/thresholds.ts'

test('settings have the names and the form of upstream, and each soft threshold needs its time', () => {
  const settings = parsePressureSettings({
    evictionHard: 'memory.available<200Mi,nodefs.available<0%',
    evictionSoft: 'memory.available<10%',
    evictionSoftGracePeriod: 'memory.available=1m30s',
    evictionMinimumReclaim: 'memory.available=1Gi',
    evictionMaxPodGracePeriod: '20',
    evictionPressureTransitionPeriod: '1m',
  })
  assert.deepEqual(settings, {
    thresholds: [
      { signal: 'memory.available', value: '10%', graceMs: 90_000, reclaim: '1Gi' },
      { signal: 'memory.available', value: '200Mi', reclaim: '1Gi' },
    ],
    transitionMs: 60_000,
    lookMs: 10_000,
    maxPodGraceMs: 20_000,
  })
  assert.throws(() => parsePressureSettings({ evictionSoft: 'memory.available<10%' }), {
    why: 'grace period must be specified for the soft eviction threshold memory.available',
  })
  assert.throws(() => parsePressureSettings({ evictionHard: 'disk<10%' }), { code: 'config/invalid' })
})

test('a soft threshold is due after its time only, and starts anew when it was met in between', () => {
  const soft: Threshold = { signal: 'nodefs.available', value: '20%', graceMs: 30 }
  const hard: Threshold = { signal: 'nodefs.available', value: '10%' }
  const look = (held: ReadonlyMap<Threshold, number>, available: number, nowMs: number) =>
    nextHeld(held, unmet([soft, hard], { 'nodefs.available': { available, capacity: 100 } }, held), nowMs)
  const first = look(new Map(), 15, 0)
  assert.deepEqual(dueOf(first, 29), [])
  assert.deepEqual(dueOf(look(first, 15, 30), 30), [soft])
  assert.deepEqual(dueOf(look(first, 5, 10), 10), [hard])
  assert.deepEqual(dueOf(look(look(first, 20, 20), 15, 40), 50), [])
})

test('what was short stays so until the minimum is reclaimed, and memory comes before disks', () => {
  const disk: Threshold = { signal: 'nodefs.available', value: '10', reclaim: '5' }
  const memory: Threshold = { signal: 'memory.available', value: '10' }
  const seen = (available: number) => ({ 'nodefs.available': { available, capacity: 100 } })
  const held = nextHeld(new Map(), unmet([disk], seen(9)), 0)
  assert.deepEqual(unmet([disk], seen(14), held), [disk])
  assert.deepEqual(unmet([disk], seen(15), held), [])
  assert.deepEqual(unmet([disk], seen(14)), [])
  const both = nextHeld(new Map(), [disk, memory], 0)
  assert.deepEqual(dueOf(both, 0), [memory, disk])
})
