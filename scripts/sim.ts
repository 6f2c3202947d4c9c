/**
 * Simulated clusters, one per seed: `npm run sim -- --seeds 1000 --ticks 3000 [--from 1]`, or `--seed 42` for one with
 * its trace. Ends with what was done, and with 1 when a seed failed.
 */
import { parseArgs } from 'node:util'
import { type SimulationResult, simulate } from '../test/simulation/simulation.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    ticks: { type: 'string', default: '2000' },
    seed: { type: 'string' },
  },
})
const ticks = Number(values.ticks)

function summary(results: readonly SimulationResult[], seconds: number): string {
  const sum = (of: (result: SimulationResult) => number) =>
    results.reduce((total, result) => total + of(result), 0)
  return [
    `${results.length} seeds of ${ticks} ticks in ${seconds.toFixed(1)} s:`,
    `${sum(result => result.virtualMs / 1000).toFixed(0)} s of virtual time,`,
    `${sum(result => result.events)} events, ${sum(result => result.entries)} entries,`,
    `${sum(result => result.operations)} operations, ${sum(result => result.watched)} events watched,`,
    `${sum(result => result.crashes)} crashes, ${sum(result => result.undecided)} histories undecided,`,
    `${results.filter(({ violation }) => violation !== null).length} failed`,
  ].join(' ')
}

const started = performance.now()
const results: SimulationResult[] = []
if (values.seed !== undefined) {
  const result = await simulate({ seed: Number(values.seed), ticks, print: line => console.log(line) })
  results.push(result)
  if (result.violation) console.log(result.violation)
} else {
  const from = Number(values.from)
  for (let seed = from; seed < from + Number(values.seeds); seed++) {
    const result = await simulate({ seed, ticks })
    results.push(result)
    if (result.violation) console.log(`seed ${seed}: ${result.violation.stack}`)
  }
}
console.log(summary(results, (performance.now() - started) / 1000))
process.exitCode = results.some(({ violation }) => violation !== null) ? 1 : 0
