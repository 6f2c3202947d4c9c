/** FlowSchemas and PriorityLevelConfigurations as the scheduler reads them. Pure. */
import type { KubeObject } from '../../../kube/object.ts'
import type { FlowSchema, PriorityLevelConfiguration } from '../../../kube/types.ts'
import { flowControlObjects } from '../bootstrap/flow-control.ts'
import { asKind } from '../registry/support.ts'

/** Of kube-apiserver: what `--max-requests-inflight` and `--max-mutating-requests-inflight` add up to. */
export const SERVER_SEATS = 600

const DEFAULT_SHARES = 30
const DEFAULT_PRECEDENCE = 1000
const MANDATORY = new Set(['exempt', 'catch-all'])

export type Rule = NonNullable<NonNullable<FlowSchema['spec']>['rules']>[number]

export interface FlowSchemaConfig {
  readonly name: string
  readonly uid: string
  readonly level: string
  readonly precedence: number
  /** What tells flows apart; null: all requests of the schema are one flow. */
  readonly by: 'ByUser' | 'ByNamespace' | null
  readonly rules: readonly Rule[]
}

export interface QueuesConfig {
  readonly count: number
  readonly handSize: number
  readonly lengthLimit: number
}

export interface LevelConfig {
  readonly name: string
  readonly uid: string
  readonly isExempt: boolean
  /** Seats of its own, of which some may be lent, and the most that it may have; fixed by the shares of all. */
  readonly nominal: number
  readonly lower: number
  readonly upper: number
  /** Null: what finds no seat is refused. */
  readonly queues: QueuesConfig | null
}

export interface FlowControlConfig {
  /** In the order in which they are asked. */
  readonly schemas: readonly FlowSchemaConfig[]
  readonly levels: ReadonlyMap<string, LevelConfig>
}

/** Schemas whose level is missing match nothing; what is mandatory is there even when its object is not. */
export function flowControlConfig(
  schemaObjects: readonly KubeObject[],
  levelObjects: readonly KubeObject[],
): FlowControlConfig {
  const levels = levelsOf(withMandatory(levelObjects, 'PriorityLevelConfiguration'))
  const schemas = withMandatory(schemaObjects, 'FlowSchema')
    .map(schemaOf)
    .filter(schema => levels.has(schema.level))
    .sort((a, b) => a.precedence - b.precedence || (a.name < b.name ? -1 : 1))
  return { schemas, levels }
}

function withMandatory(objects: readonly KubeObject[], kind: string): readonly KubeObject[] {
  const names = new Set(objects.map(({ metadata }) => metadata.name))
  const missing = flowControlObjects().filter(
    one => one.kind === kind && MANDATORY.has(one.metadata.name ?? '') && !names.has(one.metadata.name),
  )
  return [...objects, ...missing]
}

function schemaOf(object: KubeObject): FlowSchemaConfig {
  const { metadata, spec } = asKind<FlowSchema>(object)
  const type = spec?.distinguisherMethod?.type
  return {
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    level: spec?.priorityLevelConfiguration?.name ?? '',
    precedence: spec?.matchingPrecedence ?? DEFAULT_PRECEDENCE,
    by: type === 'ByUser' || type === 'ByNamespace' ? type : null,
    rules: spec?.rules ?? [],
  }
}

interface Shares {
  readonly object: PriorityLevelConfiguration
  readonly shares: number
  readonly lendablePercent: number
  readonly borrowingLimitPercent: number | null
}

function sharesOf(object: PriorityLevelConfiguration): Shares {
  const { spec } = object
  if (spec?.type === 'Exempt') {
    const { nominalConcurrencyShares: shares = 0, lendablePercent = 0 } = spec.exempt ?? {}
    return { object, shares, lendablePercent, borrowingLimitPercent: null }
  }
  const limited = spec?.limited
  return {
    object,
    shares: limited?.nominalConcurrencyShares ?? DEFAULT_SHARES,
    lendablePercent: limited?.lendablePercent ?? 0,
    borrowingLimitPercent: limited?.borrowingLimitPercent ?? null,
  }
}

function levelsOf(objects: readonly KubeObject[]): ReadonlyMap<string, LevelConfig> {
  const all = objects.map(object => sharesOf(asKind<PriorityLevelConfiguration>(object)))
  const sum = all.reduce((total, { shares }) => total + shares, 0)
  return new Map(all.map(one => [one.object.metadata.name ?? '', levelOf(one, Math.max(1, sum))]))
}

function levelOf(
  { object, shares, lendablePercent, borrowingLimitPercent }: Shares,
  sum: number,
): LevelConfig {
  const { metadata, spec } = object
  const nominal = Math.ceil((SERVER_SEATS * shares) / sum)
  const share = (percent: number) => Math.round((nominal * percent) / 100)
  const response = spec?.limited?.limitResponse
  const queuing = response?.type === 'Queue' ? (response.queuing ?? {}) : null
  return {
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    isExempt: spec?.type === 'Exempt',
    nominal,
    lower: nominal - share(lendablePercent),
    upper: borrowingLimitPercent === null ? SERVER_SEATS : nominal + share(borrowingLimitPercent),
    queues:
      queuing === null
        ? null
        : {
            count: queuing.queues ?? 64,
            handSize: queuing.handSize ?? 8,
            lengthLimit: queuing.queueLengthLimit ?? 50,
          },
  }
}
