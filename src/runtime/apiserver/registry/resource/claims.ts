/** Claims on devices, their templates, and the classes that devices are asked for by. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import type { DeviceClass, ResourceClaim, ResourceClaimTemplate } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkAnnotations, checkLabels } from '../validation/meta.ts'
import { checkImmutable } from '../validation/workload.ts'
import { checkDeviceClaim, type DeviceClaim } from './claim-rules.ts'
import { checkClaimStatus, dropFreed } from './claim-status.ts'
import { CONFIGS_MAX, checkConfiguration } from './device-rules.ts'
import { checkItems } from './lists.ts'
import { checkSelectors } from './selectors.ts'

const GROUP = 'resource.k8s.io'

function defaultDevices(claim: DeviceClaim | undefined): void {
  for (const { exactly, firstAvailable = [] } of claim?.requests ?? []) {
    for (const asked of exactly ? [exactly, ...firstAvailable] : firstAvailable) {
      if (!asked.allocationMode) asked.allocationMode = 'ExactCount'
      if (asked.allocationMode === 'ExactCount' && !asked.count) asked.count = 1
      for (const toleration of asked.tolerations ?? []) {
        if (!toleration.operator) toleration.operator = 'Equal'
      }
    }
  }
}

function stateText({ metadata, status }: ResourceClaim): string {
  const isDeleted = metadata.deletionTimestamp !== undefined
  const states = isDeleted ? ['deleted'] : []
  if (status?.allocation) {
    states.push('allocated')
    if ((status.reservedFor ?? []).length > 0) states.push('reserved')
  } else if (!isDeleted) states.push('pending')
  return states.join(',')
}

function keptSpec(next: KubeObject, previous: KubeObject): readonly FieldError[] {
  const out: FieldError[] = []
  checkImmutable(out, 'spec', next['spec'], previous['spec'])
  return out
}

export const resourceClaims: Strategy = defineKind({
  group: GROUP,
  resource: 'resourceclaims',
  hasStatus: true,
  hasGeneration: false,
  ratchets: true,
  applyDefaults: object => defaultDevices(asKind<ResourceClaim>(object).spec?.devices),
  prepareForStatusUpdate(next, previous) {
    keepMetadata(next, previous)
    dropFreed(asKind<ResourceClaim>(next), asKind<ResourceClaim>(previous))
  },
  validate(object) {
    const out: FieldError[] = []
    checkDeviceClaim(out, 'spec.devices', asKind<ResourceClaim>(object).spec?.devices)
    return out
  },
  validateUpdate: keptSpec,
  validateStatusUpdate(next, previous) {
    const out: FieldError[] = []
    checkClaimStatus(out, asKind<ResourceClaim>(next), asKind<ResourceClaim>(previous))
    return out
  },
  table: tableOf<ResourceClaim>(
    [nameColumn, column('State', 'Whether devices are allocated and in use'), ageColumn],
    (claim, nowMs) => [
      claim.metadata.name ?? '',
      stateText(claim),
      since(claim.metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const resourceClaimTemplates: Strategy = defineKind({
  group: GROUP,
  resource: 'resourceclaimtemplates',
  hasGeneration: false,
  ratchets: true,
  applyDefaults: object => defaultDevices(asKind<ResourceClaimTemplate>(object).spec?.spec?.devices),
  validate(object) {
    const { spec } = asKind<ResourceClaimTemplate>(object)
    const out: FieldError[] = []
    checkAnnotations(out, 'spec.metadata.annotations', spec?.metadata?.annotations)
    checkLabels(out, 'spec.metadata.labels', spec?.metadata?.labels)
    checkDeviceClaim(out, 'spec.spec.devices', spec?.spec?.devices)
    return out
  },
  validateUpdate: keptSpec,
})

/** A name of another domain than Kubernetes', which a quota can still put `requests.` before. */
function isExtendedResource(name: string): boolean {
  if (!name.includes('/') || name.includes('kubernetes.io/') || name.startsWith('requests.')) return false
  return checkQualifiedName(`requests.${name}`).length === 0
}

export const deviceClasses: Strategy = defineKind({
  group: GROUP,
  resource: 'deviceclasses',
  hasGeneration: true,
  validate(object) {
    const { spec } = asKind<DeviceClass>(object)
    const out: FieldError[] = []
    checkSelectors(out, 'spec.selectors', spec?.selectors)
    checkItems(out, 'spec.config', { items: spec?.config, max: CONFIGS_MAX }, (config, field) =>
      checkConfiguration(out, field, config),
    )
    const name = spec?.extendedResourceName
    if (name !== undefined && !isExtendedResource(name)) {
      out.push(invalid('spec.extendedResourceName', name, 'must be a valid extended resource name'))
    }
    return out
  },
})
