/** Parts of a node that are killed at phases of a pod's life; `scripts/walk-pods.ts` goes through all of them. */
import { after, before, describe, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { seededRandom } from '../../src/base/random.ts'
import { type ContainerCluster, startContainerCluster } from '../support/container-cluster.ts'
import { whyNoOci } from '../support/oci.ts'
import { PHASES, PodWalk, type Victim } from '../support/pod-walk.ts'

const KILLS: readonly (readonly [victim: Victim, phase: string])[] = [
  ['daemon', 'network'],
  ['conmon', 'init'],
  ['program', 'created'],
  ['daemon', 'preStop'],
]

describe('a node of which something is killed while a pod comes and goes', {
  skip: whyNoOci() ?? false,
}, () => {
  let cluster: ContainerCluster
  let walk: PodWalk
  before(async () => {
    cluster = await startContainerCluster('oci', 'kills')
    walk = new PodWalk(cluster, 'oci', seededRandom(8))
  })
  after(() => cluster.remove())

  for (const [index, [victim, name]] of KILLS.entries()) {
    test(`brings the pod up, and leaves nothing of it: ${victim} at ${name}`, async () => {
      const phase = must(
        PHASES.find(each => each.name === name),
        `a phase ${name}`,
      )
      await walk.round(`pod-${index}`, `claim-${index}`, phase, victim)
    })
  }
})
