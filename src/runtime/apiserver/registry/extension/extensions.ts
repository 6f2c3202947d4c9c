/** Kinds that extend the API server: definitions of kinds, flow control. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import type {
  CustomResourceDefinition,
  FlowSchema,
  PriorityLevelConfiguration,
} from '../../../../kube/types.ts'
import { ageColumn, column, createdAtTable, NONE, nameColumn, since, tableOf, UNKNOWN } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, setDefault } from '../support.ts'
import { checkOneOf } from '../validation/meta.ts'

const HTTPS = 443
const MATCHING_PRECEDENCE = 1000

export const definitions: Strategy = defineKind({
  group: 'apiextensions.k8s.io',
  resource: 'customresourcedefinitions',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  applyDefaults(object) {
    const { spec } = asKind<CustomResourceDefinition>(object)
    if (!spec) return
    const { names } = spec
    if (names?.kind && !names.singular) names.singular = names.kind.toLowerCase()
    if (names?.kind && !names.listKind) names.listKind = `${names.kind}List`
    setDefault(spec, 'conversion', { strategy: 'None' })
    const service = spec.conversion?.webhook?.clientConfig?.service
    if (service) setDefault(service, 'port', HTTPS)
  },
  prepareForCreate(object) {
    const { spec } = asKind<CustomResourceDefinition>(object)
    const stored = (spec?.versions ?? []).filter(version => version.storage).map(version => version.name)
    object['status'] = {
      conditions: null,
      acceptedNames: { plural: '', kind: '' },
      storedVersions: stored,
    }
  },
  validate: object => definitionProblems(asKind<CustomResourceDefinition>(object)),
  table: createdAtTable,
})

function definitionProblems({ metadata, spec }: CustomResourceDefinition): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec) return [required('spec')]
  const expected = `${spec.names?.plural ?? ''}.${spec.group ?? ''}`
  if (metadata.name !== expected) {
    out.push(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'))
  }
  if (!spec.group) out.push(required('spec.group'))
  else if (!spec.group.includes('.')) {
    out.push(invalid('spec.group', spec.group, 'should be a domain with at least one dot'))
  }
  checkOneOf(out, 'spec.scope', spec.scope, ['Cluster', 'Namespaced'])
  if (!spec.names?.plural) out.push(required('spec.names.plural'))
  if (!spec.names?.kind) out.push(required('spec.names.kind'))
  const versions = spec.versions ?? []
  if (versions.filter(version => version.storage).length !== 1) {
    const detail = 'must have exactly one version marked as storage version'
    out.push(invalid('spec.versions', versions, detail))
  }
  for (const [index, version] of versions.entries()) {
    if (version.schema?.openAPIV3Schema) continue
    out.push(required(`${at('spec.versions', index)}.schema.openAPIV3Schema`, 'schemas are required'))
  }
  return out
}

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
