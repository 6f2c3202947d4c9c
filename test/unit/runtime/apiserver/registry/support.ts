/** What the tests of strategies share: a context, one way through a strategy, and problems as one reads them. */
import { seededRandom } from '../../../../../src/base/random.ts'
import type { FieldError } from '../../../../../src/kube/field-error.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import type {
  ClaimPool,
  Strategy,
  StrategyContext,
} from '../../../../../src/runtime/apiserver/registry/strategy.ts'

export const NOW = Date.parse('2026-03-01T12:00:00Z')

export function testContext(seed = 1): StrategyContext {
  const random = seededRandom(seed)
  return {
    nowMs: NOW,
    username: 'kubernetes-admin',
    uuid: () => random.uuid(),
    random: () => random.float(),
    settings: {
      clusterDomain: 'cluster.local',
      serviceCidr: '10.152.183.0/24',
      podCidr: '10.1.0.0/16',
      nodePorts: { first: 30000, last: 32767 },
    },
  }
}

/** Every value but those listed (`30080/TCP`) is free. */
export const poolWithout = (...taken: string[]): ClaimPool => ({
  isFree: claim => !taken.includes(claim.value),
  serviceNetworks: () => [],
})

export function object(kind: string, fields: object, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name: 'web', namespace: 'default', ...metadata }, ...fields }
}

/** Defaults and preparation, as a create request does them. */
export function created(strategy: Strategy, given: KubeObject): KubeObject {
  const made = structuredClone(given)
  made.metadata.uid = 'uid-1'
  made.metadata.creationTimestamp = '2026-03-01T11:00:00Z'
  strategy.applyDefaults?.(made)
  strategy.prepareForCreate?.(made, testContext())
  return made
}

/** A change of a created object, through defaults and preparation. */
export function updated(
  strategy: Strategy,
  previous: KubeObject,
  change: (next: KubeObject) => void,
): KubeObject {
  const next = structuredClone(previous)
  change(next)
  strategy.applyDefaults?.(next)
  strategy.prepareForUpdate?.(next, previous, testContext())
  return next
}

/** `field: message`, as kubectl prints them. */
export const read = (problems: readonly FieldError[] | undefined): string[] =>
  (problems ?? []).map(problem => `${problem.field}: ${problem.message}`)

export function createProblems(strategy: Strategy, given: KubeObject): string[] {
  const made = created(strategy, given)
  return [...read(strategy.validate?.(made)), ...read(strategy.validateCreate?.(made))]
}

/** The object's row by column name. */
export function row(strategy: Strategy, shown: KubeObject): Record<string, unknown> {
  const cells = strategy.table?.cells(shown, NOW) ?? []
  return Object.fromEntries(
    (strategy.table?.columns ?? []).map((column, index) => [column.name, cells[index]]),
  )
}

/** The spec of a workload, or of anything, to look into. */
export const specOf = (from: KubeObject): Record<string, unknown> => from['spec'] as Record<string, unknown>
