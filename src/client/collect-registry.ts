/** Asks the node that has the registry of the cluster to collect its garbage, and waits for what came of it. */
import { type Clock, sleepAlive } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import {
  COLLECT,
  type CollectRequest,
  type CollectResult,
  collectResult,
} from '../kube/registries/collect-garbage.ts'
import type { EndpointSlice } from '../kube/types.ts'
import { isNotFound, type KubeClient } from './kube-client.ts'
import { ENDPOINT_SLICES, PERSISTENT_VOLUME_CLAIMS } from './resources.ts'

export interface CollectParts {
  readonly client: KubeClient
  readonly timeoutMs: number
  readonly clock: Clock
  readonly random: Random
}

const CLAIM = { namespace: 'container-registry', name: 'registry-claim' }
const SLICES = { namespace: 'container-registry', fieldSelector: 'metadata.name=registry-node' }
const LOOK_MS = 200

/** Throws what went wrong, or `timeout`. */
export async function collectRegistry(
  { client, timeoutMs, clock, random }: CollectParts,
  options: Omit<CollectRequest, 'id'>,
): Promise<CollectResult> {
  const request: CollectRequest = { id: random.uuid(), ...options }
  const patch = { metadata: { annotations: { [COLLECT]: JSON.stringify(request) } } }
  await client.patch(PERSISTENT_VOLUME_CLAIMS, { ...CLAIM, type: 'merge', patch }).catch(absent)
  const untilMs = clock.monotonic() + timeoutMs
  while (clock.monotonic() < untilMs) {
    const { items } = await client.list<EndpointSlice>(ENDPOINT_SLICES, SLICES)
    const results = items.map(({ metadata }) => collectResult(metadata.annotations, request.id))
    const result = results.find(each => each !== null) ?? null
    if (result !== null && result.problem === '') return result
    if (result !== null) {
      throw new Mk8sError('refused', 'the garbage of the registry was not collected', { why: result.problem })
    }
    await sleepAlive(clock, LOOK_MS)
  }
  throw new Mk8sError('timeout', `the registry did not answer within ${timeoutMs / 1_000} s`, {
    why: 'the node that has its volume does not run, or still collects',
    hint: 'mk8s kubectl get addon registry -o yaml',
  })
}

function absent(error: unknown): never {
  if (!isNotFound(error)) throw error
  throw new Mk8sError('refused', 'this cluster has no registry', { hint: 'mk8s enable registry' })
}
