/** A CustomResourceDefinition as the server and its controllers read it. */
import type { KubeObject } from './object.ts'

export interface DefinitionNames {
  plural: string
  kind: string
  singular?: string
  listKind?: string
  shortNames?: string[]
  categories?: string[]
}

export interface PrinterColumn {
  readonly name: string
  readonly type: string
  readonly jsonPath: string
  readonly format?: string
  readonly description?: string
  readonly priority?: number
}

export interface ScalePaths {
  readonly specReplicasPath: string
  readonly statusReplicasPath: string
  readonly labelSelectorPath?: string
}

export interface DefinitionVersion {
  name: string
  served: boolean
  storage: boolean
  deprecated?: boolean
  deprecationWarning?: string
  schema?: { openAPIV3Schema?: Record<string, unknown> }
  subresources?: { status?: object; scale?: ScalePaths }
  additionalPrinterColumns?: PrinterColumn[]
  selectableFields?: { jsonPath: string }[]
}

export interface WebhookClientConfig {
  readonly url?: string
  readonly service?: {
    readonly namespace: string
    readonly name: string
    readonly path?: string
    port?: number
  }
  readonly caBundle?: string
}

export interface DefinitionConversion {
  strategy: string
  webhook?: {
    clientConfig?: WebhookClientConfig
    conversionReviewVersions?: string[]
  }
}

export interface DefinitionCondition {
  type: string
  status: string
  reason?: string
  message?: string
  lastTransitionTime?: string
  observedGeneration?: number
}

export interface CustomDefinition extends KubeObject {
  spec: {
    group: string
    names: DefinitionNames
    scope: string
    versions: DefinitionVersion[]
    conversion?: DefinitionConversion
    preserveUnknownFields?: boolean
  }
  status?: {
    conditions?: DefinitionCondition[] | null
    acceptedNames?: DefinitionNames
    storedVersions?: string[] | null
    observedGeneration?: number
  }
}

export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

export function definitionCondition(
  definition: Pick<CustomDefinition, 'status'>,
  type: string,
): DefinitionCondition | undefined {
  return definition.status?.conditions?.find(one => one.type === type)
}

export const isDefinition = (definition: Pick<CustomDefinition, 'status'>, type: string): boolean =>
  definitionCondition(definition, type)?.status === 'True'

const VERSION = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/
const STAGES: Readonly<Record<string, number>> = { alpha: 1, beta: 2 }

/** Kubernetes' order of versions, newest first: v2, v1, v1beta1, v1alpha1, then all others by name. */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0
  const left = VERSION.exec(a)
  const right = VERSION.exec(b)
  if (left === null || right === null) {
    if (left !== null) return -1
    if (right !== null) return 1
    return a < b ? -1 : 1
  }
  const stage = (match: RegExpExecArray) => STAGES[match[2] ?? ''] ?? 3
  return (
    stage(right) - stage(left) ||
    Number(right[1]) - Number(left[1]) ||
    Number(right[3] ?? 0) - Number(left[3] ?? 0)
  )
}
