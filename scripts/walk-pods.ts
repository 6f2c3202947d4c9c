/**
 * Kills parts of a node with real containers while a pod goes through its phases: `node scripts/walk-pods.ts`, with
 * `--runtime oci|containerd`, `--rounds`, `--seed`, and `--victim` or `--phase` for a part of it.
 */
import { parseArgs } from 'node:util'
import { seededRandom } from '../src/base/random.ts'
import { startContainerCluster } from '../test/support/container-cluster.ts'
import { PHASES, PodWalk } from '../test/support/pod-walk.ts'

const { values } = parseArgs({
  options: {
    runtime: { type: 'string', default: 'oci' },
    rounds: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    victim: { type: 'string' },
    phase: { type: 'string' },
  },
})
const cluster = await startContainerCluster(values.runtime, 'walk')
const walk = new PodWalk(cluster, values.runtime, seededRandom(Number(values.seed)))
let failures = 0
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const victim of walk.victims) {
      if (values.victim !== undefined && victim !== values.victim) continue
      for (const [index, phase] of PHASES.entries()) {
        if (values.phase !== undefined && phase.name !== values.phase) continue
        const begun = performance.now()
        const name = `${victim}-${round}-${index}`
        try {
          const said = await walk.round(name, `c-${name}`, phase, victim)
          console.log(`${((performance.now() - begun) / 1_000).toFixed(1)} s: ${said}`)
        } catch (error) {
          failures++
          console.log(`FAILED after ${((performance.now() - begun) / 1_000).toFixed(1)} s: ${String(error)}`)
          const { stdout } = await cluster.kubectl.try(['get', 'pod', name, '-o', 'yaml'])
          const events = await cluster.kubectl.try(['events', '--for', `pod/${name}`])
          console.log(stdout.slice(-6_000), events.stdout)
          await cluster.kubectl.try(['delete', 'pod', name, '--force'])
        }
      }
    }
  }
} finally {
  if (failures > 0) console.log(`${failures} failures; ${cluster.dataDir}`)
  await cluster.remove()
}
process.exitCode = failures === 0 ? 0 : 1
