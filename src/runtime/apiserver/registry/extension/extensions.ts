/** Kinds of API priority and fairness. */
import type { FlowSchema, PriorityLevelConfiguration } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf, UNKNOWN } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { flowSchemaProblems } from './flow-rules.ts'
import { defaultLevel, levelProblems } from './level-rules.ts'

const MATCHING_PRECEDENCE = 1000

export const flowSchemas: Strategy = defineKind({
  group: 'flowcontrol.apiserver.k8s.io',
  resource: 'flowschemas',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  hasGeneration: true,
  applyDefaults(object) {
    const { spec } = asKind<FlowSchema>(object)
    if (spec && !spec.matchingPrecedence) spec.matchingPrecedence = MATCHING_PRECEDENCE
  },
  validate: object => flowSchemaProblems(asKind<FlowSchema>(object)),
  table: tableOf<FlowSchema>(
    [
      nameColumn,
      column('PriorityLevel', 'Priority level of matching requests'),
      column('MatchingPrecedence', 'Lower ones are asked first', 'integer'),
      column('DistinguisherMethod', 'What makes a flow'),
      ageColumn,
      column('MissingPL', 'Whether the priority level is missing'),
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      spec?.priorityLevelConfiguration?.name ?? '',
      spec?.matchingPrecedence ?? 0,
      spec?.distinguisherMethod?.type ?? NONE,
      since(metadata.creationTimestamp, nowMs),
      (status?.conditions ?? []).find(item => item.type === 'Dangling')?.status ?? '?',
    ],
  ),
})

export const priorityLevels: Strategy = defineKind({
  group: 'flowcontrol.apiserver.k8s.io',
  resource: 'prioritylevelconfigurations',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  hasGeneration: true,
  applyDefaults: object => defaultLevel(asKind<PriorityLevelConfiguration>(object).spec),
  validate: object => levelProblems(asKind<PriorityLevelConfiguration>(object)),
  table: tableOf<PriorityLevelConfiguration>(
    [
      nameColumn,
      column('Type', 'Limited or Exempt'),
      column('NominalConcurrencyShares', 'Share of the concurrency'),
      column('Queues', 'How many queues'),
      column('HandSize', 'Queues a flow may use'),
      column('QueueLengthLimit', 'Longest queue'),
      ageColumn,
    ],
    ({ metadata, spec }, nowMs) => {
      const queuing = spec?.limited?.limitResponse?.queuing
      const shares = spec?.limited?.nominalConcurrencyShares ?? spec?.exempt?.nominalConcurrencyShares
      return [
        metadata.name ?? '',
        spec?.type ?? UNKNOWN,
        shares ?? NONE,
        queuing?.queues ?? NONE,
        queuing?.handSize ?? NONE,
        queuing?.queueLengthLimit ?? NONE,
        since(metadata.creationTimestamp, nowMs),
      ]
    },
  ),
})
