/**
 * A smoke run of the simulation: a few seeds, and those that failed once (seeds.md). `npm run sim` runs more;
 * `npm run sim -- --seed N --ticks T` replays one with its trace.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { simulate } from './simulation.ts'

const SMOKE_SEEDS = 40
const SMOKE_TICKS = 800

async function checkSeed(seed: number, ticks: number): Promise<number> {
  const { violation, entries } = await simulate({ seed, ticks })
  assert.equal(violation, null, `seed ${seed}, ${ticks} ticks: ${violation?.stack}`)
  return entries
}

test('no cluster in a faulty world breaks a promise, and each recovers', async () => {
  let entries = 0
  for (let seed = 1; seed <= SMOKE_SEEDS; seed++) entries += await checkSeed(seed, SMOKE_TICKS)
  assert.ok(entries > 1000, `${entries} entries show little`)
})

test('the seeds that failed once do not fail again', async () => {
  const rows = readFileSync(join(import.meta.dirname, 'seeds.md'), 'utf8').matchAll(
    /^\|\s*(\d+)\s*\|\s*(\d+)\s*\|/gm,
  )
  for (const [, seed, ticks] of rows) await checkSeed(Number(seed), Number(ticks))
})

/** A sound world, in which nobody has a reason to be elected after the first. */
const sound = {
  voters: 3,
  loss: 0,
  duplicates: 0,
  latency: 1,
  latencySpread: 2,
  latencyFloor: 0,
  flushSpread: 5,
  flushErrors: 0,
  drift: 0,
  crashEvery: 0,
  partitionEvery: 0,
  spiteEvery: 0,
  slowDiskEvery: 0,
  pauseEvery: 0,
  stallEvery: 0,
  churnEvery: 0,
  transferEvery: 0,
  rotShare: 0,
}

test('processes that hang all at once, as on a host without processors to spare, elect nobody', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const elected: string[] = []
    let hangs = 0
    const print = (line: string) => {
      if (line.includes('leads term')) elected.push(line)
      if (line.includes('hangs for')) hangs++
    }
    const { violation } = await simulate({
      seed,
      ticks: 1000,
      print,
      bugs: { world: { ...sound, freezeEvery: 800 } },
    })
    assert.equal(violation, null)
    assert.ok(hangs > 10, `${hangs} hangs show little`)
    assert.equal(elected.length, 1, `seed ${seed}: ${elected.join('\n')}`)
  }
})

test('a seed replays exactly', async () => {
  const trace = async () => {
    const lines: string[] = []
    await simulate({ seed: 11, ticks: 300, print: line => lines.push(line) })
    return lines.join('\n')
  }
  assert.equal(await trace(), await trace())
})
