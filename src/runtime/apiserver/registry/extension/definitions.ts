/** CustomResourceDefinitions: their defaults, their life and what of them may change. */
import {
  CLEANUP_FINALIZER,
  type CustomDefinition,
  type DefinitionCondition,
} from '../../../../kube/custom-definition.ts'
import { formatTime } from '../../../../kube/time.ts'
import { createdAtTable } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, setDefault } from '../support.ts'
import { definitionProblems, definitionUpdateProblems, statusProblems } from './definition-rules.ts'

const HTTPS = 443

function storageVersionOf({ spec }: CustomDefinition): string | undefined {
  return spec?.versions?.find(version => version.storage)?.name
}

/** What is going has a condition that says so, and waits for its instances. */
function markTerminating(definition: CustomDefinition, now: string): void {
  const { metadata } = definition
  if (!(metadata.finalizers ?? []).includes(CLEANUP_FINALIZER)) {
    metadata.finalizers = [...(metadata.finalizers ?? []), CLEANUP_FINALIZER]
  }
  const conditions = definition.status?.conditions ?? []
  if (conditions.some(one => one.type === 'Terminating' && one.status === 'True')) return
  const terminating: DefinitionCondition = {
    type: 'Terminating',
    status: 'True',
    lastTransitionTime: now,
    reason: 'InstanceDeletionPending',
    message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
  }
  const others = conditions.filter(one => one.type !== 'Terminating')
  definition.status = { ...definition.status, conditions: [...others, terminating] }
}

export const definitions: Strategy = defineKind({
  group: 'apiextensions.k8s.io',
  resource: 'customresourcedefinitions',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  applyDefaults(object) {
    const { spec } = asKind<CustomDefinition>(object)
    if (!spec) return
    const { names } = spec
    if (names?.kind && !names.singular) names.singular = names.kind.toLowerCase()
    if (names?.kind && !names.listKind) names.listKind = `${names.kind}List`
    setDefault(spec, 'conversion', { strategy: 'None' })
    const service = spec.conversion?.webhook?.clientConfig?.service
    if (service) setDefault(service, 'port', HTTPS)
  },
  prepareForCreate(object) {
    const definition = asKind<CustomDefinition>(object)
    const stored = storageVersionOf(definition)
    definition.status = {
      conditions: [],
      acceptedNames: { plural: '', kind: '' },
      storedVersions: stored === undefined ? [] : [stored],
    }
  },
  prepareForUpdate(next) {
    const definition = asKind<CustomDefinition>(next)
    const stored = storageVersionOf(definition)
    const versions = definition.status?.storedVersions ?? []
    if (stored === undefined || versions.includes(stored)) return
    definition.status = { ...definition.status, storedVersions: [...versions, stored] }
  },
  validate: object => definitionProblems(asKind<CustomDefinition>(object)),
  validateUpdate: (next, previous) =>
    definitionUpdateProblems(asKind<CustomDefinition>(next), asKind<CustomDefinition>(previous)),
  validateStatusUpdate: next => statusProblems(asKind<CustomDefinition>(next)),
  /** The first deletion leaves it where it is, with the finalizer that its instances have to be gone for. */
  isHeldBack: object => object.metadata.deletionTimestamp === undefined,
  prepareForDelete: (object, context) =>
    markTerminating(asKind<CustomDefinition>(object), formatTime(context.nowMs)),
  table: createdAtTable,
})
