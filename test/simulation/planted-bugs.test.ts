/** The simulation can see: each known bug, planted in an otherwise sound member, is found within a few seeds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlantedBugs } from './options.ts'
import { simulate } from './simulation.ts'

const SEEDS_MAX = 300
const TICKS = 700

const bugs: readonly (readonly [name: string, bugs: PlantedBugs, seen: RegExp])[] = [
  ['a member that votes twice in a term', { rules: { mayVote: () => true } }, /.*/],
  [
    'a leader that commits an entry of an earlier term by counting',
    {
      rules: { mayCommitByCounting: entryTerm => entryTerm !== null },
      // Figure 8 takes several leaders that fall one after the other, and appends that carry one entry each.
      world: {
        voters: 5,
        appendBytes: 1,
        crashEvery: 150,
        partitionEvery: 300,
        churnEvery: 0,
        latency: 10,
        clients: 6,
      },
    },
    /.*/,
  ],
  ['a follower that truncates what it need not', { rules: { mustTruncate: () => true } }, /.*/],
  [
    'a leader that answers reads without asking',
    { rules: { mustConfirmReads: () => false } },
    /linearizable/,
  ],
  ['a disk that does not flush', { skipsFlush: true }, /.*/],
]

for (const [name, planted, seen] of bugs) {
  test(`${name} is found`, async t => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { violation } = await simulate({ seed, ticks: TICKS, bugs: planted })
      // A world that never comes to rest shows something, but not what.
      if (violation === null || violation.message.startsWith('more than')) continue
      t.diagnostic(`seed ${seed}: ${violation.message.split('\n')[0]}`)
      assert.match(violation.message, seen)
      return
    }
    assert.fail(`not found in ${SEEDS_MAX} seeds`)
  })
}
