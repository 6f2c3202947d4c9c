/** The simulation can see: each known bug, planted in an otherwise sound member, is found within a few seeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlantedBugs } from './options.ts'
import { simulate } from './simulation.ts'

const SEEDS_MAX = 100
const TICKS = 700

/**
 * Figure 8 takes leaders that fall one after the other at the worst moment, appends that carry one entry each, and
 * no other faults that would only make it rarer.
 */
const figure8: NonNullable<PlantedBugs['world']> = {
  voters: 5,
  clients: 8,
  appendBytes: 1,
  latency: 25,
  latencySpread: 0,
  inOrder: true,
  loss: 0,
  duplicates: 0,
  flush: 0.2,
  flushSpread: 0,
  keptBytes: 1024 * 1024,
  spiteEvery: 50,
  crashEvery: 0,
  partitionEvery: 0,
  slowDiskEvery: 0,
  pauseEvery: 0,
  freezeEvery: 0,
  stallEvery: 0,
  latencyFloor: 0,
  churnEvery: 0,
  transferEvery: 0,
  rotShare: 0,
  lateStores: 0,
}

/** Leaders fall often, everybody notices at once, and messages take long enough for two to stand at a time. */
const crowded: NonNullable<PlantedBugs['world']> = {
  ...figure8,
  appendBytes: 1024 * 1024,
  latency: 10,
  latencySpread: 5,
  latencyFloor: 20,
  inOrder: false,
  spiteEvery: 0,
  crashEvery: 700,
  powerCutShare: 0,
  noticesClosedLinks: true,
}

/** Members lag, snapshots are many and stored late, and whoever leads next does not know what is committed. */
const lateSnapshots: NonNullable<PlantedBugs['world']> = {
  ...figure8,
  voters: 3,
  appendBytes: 1024 * 1024,
  latency: 15,
  drift: 0,
  spiteEvery: 0,
  crashEvery: 500,
  powerCutShare: 0,
  flushErrors: 0,
  keptBytes: 300,
  keepsMore: 0.6,
  lateStores: 1,
  lateStoreMs: 8000,
}

const bugs: readonly (readonly [name: string, bugs: PlantedBugs, seen: RegExp, ticks?: number])[] = [
  [
    'a member that votes twice in a term',
    { rules: { mayVote: () => true }, world: crowded },
    /one leader|two leaders/,
  ],
  [
    'a leader that commits an entry of an earlier term by counting',
    { rules: { mayCommitByCounting: entryTerm => entryTerm !== null }, world: figure8 },
    /than was committed|another entry|never overwritten/,
    3000,
  ],
  [
    'a follower that truncates what it need not',
    { rules: { mustTruncate: () => true } },
    /than was committed|without committed|another entry|never overwritten/,
  ],
  [
    'a leader that answers reads without asking',
    { rules: { mustConfirmReads: () => false } },
    /linearizable/,
  ],
  [
    'a snapshot that takes the place of what was appended while it was stored',
    { rules: { mustKeepLog: () => false }, world: lateSnapshots },
    /lost committed|replaced committed|without committed|never overwritten/,
    3000,
  ],
  ['a disk that does not flush', { skipsFlush: true }, /damaged|missing|lost|committed|two leaders|another/],
]

for (const [what, world] of Object.entries({ figure8, lateSnapshots })) {
  test(`without a bug, the world of ${what} is sound`, async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { violation } = await simulate({ seed, ticks: 3000, bugs: { world } })
      assert.equal(violation, null, `seed ${seed}`)
    }
  })
}

for (const [name, planted, seen, ticks = TICKS] of bugs) {
  test(`${name} is found`, async t => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { violation } = await simulate({ seed, ticks, bugs: planted })
      // A cluster that stands still or never comes to rest shows something, but not what.
      if (violation === null || /^more than|does not recover/.test(violation.message)) continue
      t.diagnostic(`seed ${seed}: ${violation.message.split('\n')[0]}`)
      assert.match(violation.message, seen)
      return
    }
    assert.fail(`not found in ${SEEDS_MAX} seeds`)
  })
}
