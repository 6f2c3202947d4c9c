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

test('a seed replays exactly', async () => {
  const trace = async () => {
    const lines: string[] = []
    await simulate({ seed: 11, ticks: 300, print: line => lines.push(line) })
    return lines.join('\n')
  }
  assert.equal(await trace(), await trace())
})
