/** Kinds that extend the API server: webhooks, aggregated APIs, definitions of kinds, flow control. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import type {
  APIService,
  CustomResourceDefinition,
  FlowSchema,
  MutatingWebhookConfiguration,
  PriorityLevelConfiguration,
} from '../../../../kube/types.ts'
import { ageColumn, column, createdAtTable, NONE, nameColumn, since, tableOf, UNKNOWN } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, setDefault } from '../support.ts'
import { checkOneOf } from '../validation/meta.ts'

const HTTPS = 443
const MATCHING_PRECEDENCE = 1000
const TIMEOUT_SECONDS = 10
const TIMEOUT_SECONDS_MAX = 30

function webhooksOf(resource: 'mutatingwebhookconfigurations' | 'validatingwebhookconfigurations'): Strategy {
  return defineKind({
    group: 'admissionregistration.k8s.io',
    resource,
    hasGeneration: true,
    applyDefaults(object) {
      for (const webhook of asKind<MutatingWebhookConfiguration>(object).webhooks ?? []) {
        setDefault(webhook, 'failurePolicy', 'Fail')
        setDefault(webhook, 'matchPolicy', 'Equivalent')
        setDefault(webhook, 'namespaceSelector', {})
        setDefault(webhook, 'objectSelector', {})
        setDefault(webhook, 'timeoutSeconds', TIMEOUT_SECONDS)
        if (resource === 'mutatingwebhookconfigurations') setDefault(webhook, 'reinvocationPolicy', 'Never')
        if (webhook.clientConfig?.service) setDefault(webhook.clientConfig.service, 'port', HTTPS)
        for (const rule of webhook.rules ?? []) rule.scope ??= '*'
      }
    },
    validate: object => webhookProblems(asKind<MutatingWebhookConfiguration>(object)),
    table: tableOf<MutatingWebhookConfiguration>(
      [nameColumn, column('Webhooks', 'How many webhooks it has', 'integer'), ageColumn],
      ({ metadata, webhooks }, nowMs) => [
        metadata.name ?? '',
        webhooks?.length ?? 0,
        since(metadata.creationTimestamp, nowMs),
      ],
    ),
  })
}

function webhookProblems({ webhooks }: MutatingWebhookConfiguration): readonly FieldError[] {
  const out: FieldError[] = []
  for (const [index, webhook] of (webhooks ?? []).entries()) {
    const field = at('webhooks', index)
    if (!webhook.name) out.push(required(`${field}.name`))
    else if (webhook.name.split('.').length < 3) {
      const detail = 'should be a domain with at least three segments separated by dots'
      out.push(invalid(`${field}.name`, webhook.name, detail))
    }
    const { url, service } = webhook.clientConfig ?? {}
    if ((url === undefined) === (service === undefined)) {
      out.push(required(`${field}.clientConfig`, 'exactly one of url or service is required'))
    }
    if (!webhook.sideEffects) {
      out.push(required(`${field}.sideEffects`, 'must specify one of None, NoneOnDryRun'))
    } else checkOneOf(out, `${field}.sideEffects`, webhook.sideEffects, ['None', 'NoneOnDryRun'])
    if ((webhook.admissionReviewVersions ?? []).length === 0) {
      const detail = 'must specify one of v1, v1beta1'
      out.push(required(`${field}.admissionReviewVersions`, detail))
    }
    const seconds = webhook.timeoutSeconds ?? TIMEOUT_SECONDS
    if (seconds < 1 || seconds > TIMEOUT_SECONDS_MAX) {
      const detail = `the timeout value must be between 1 and ${TIMEOUT_SECONDS_MAX} seconds`
      out.push(invalid(`${field}.timeoutSeconds`, seconds, detail))
    }
  }
  return out
}

export const mutatingWebhooks: Strategy = webhooksOf('mutatingwebhookconfigurations')
export const validatingWebhooks: Strategy = webhooksOf('validatingwebhookconfigurations')

function availability({ status }: APIService): string {
  const condition = (status?.conditions ?? []).find(item => item.type === 'Available')
  if (!condition) return 'Unknown'
  return condition.status === 'True' ? 'True' : `${condition.status} (${condition.reason ?? ''})`
}

export const apiServices: Strategy = defineKind({
  group: 'apiregistration.k8s.io',
  resource: 'apiservices',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  applyDefaults(object) {
    const service = asKind<APIService>(object).spec?.service
    if (service) setDefault(service, 'port', HTTPS)
  },
  validate(object) {
    const { metadata, spec } = asKind<APIService>(object)
    const out: FieldError[] = []
    const name = `${spec?.version ?? ''}.${spec?.group ?? ''}`
    if (metadata.name !== name) {
      const detail = `must be \`spec.version+"."+spec.group\`: "${name}"`
      out.push(invalid('metadata.name', metadata.name, detail))
    }
    if (!spec?.version) out.push(required('spec.version'))
    return out
  },
  table: tableOf<APIService>(
    [
      nameColumn,
      column('Service', 'Who serves the group and version'),
      column('Available', 'Whether it answers'),
      ageColumn,
    ],
    (item, nowMs) => {
      const service = item.spec?.service
      return [
        item.metadata.name ?? '',
        service ? `${service.namespace}/${service.name}` : 'Local',
        availability(item),
        since(item.metadata.creationTimestamp, nowMs),
      ]
    },
  ),
})

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
