/** Reads pods that do not come through the API: decoded, with defaults and by the rules that the API has for them. */
import type { Model } from '../../kube/model-types.ts'
import type { KubeObject } from '../../kube/object.ts'
import { applyModelDefaults, decodeObject } from '../../kube/schema.ts'
import type { Pod } from '../../kube/types.ts'
import { strategies } from './registry/registry.ts'
import { asKind } from './registry/support.ts'
import { validateNew } from './requests/validate.ts'
import { createResourceTable } from './storage/served-resource.ts'

export interface ReadPod {
  readonly pod: Pod
  /** Sentences; with one of them the pod is none. */
  readonly problems: readonly string[]
}

/** The model is asked for with the first pod. */
export function createPodReader(modelOf: () => Model): (value: unknown) => ReadPod {
  return value => {
    const model = modelOf()
    const resource = createResourceTable(model, strategies).stored('', 'pods')
    if (resource === undefined) throw new Error('the model has pods')
    const { typeName } = resource.info
    const { object, unknownFields, typeErrors } = decodeObject(model, typeName, value, 'strict')
    const read = object as KubeObject
    if (typeErrors.length > 0 || unknownFields.length > 0) {
      return { pod: asKind<Pod>(read), problems: [...typeErrors, ...unknownFields] }
    }
    applyModelDefaults(model, typeName, read)
    resource.strategy.applyDefaults?.(read)
    const problems = validateNew(resource, read).map(({ field, message }) => `${field}: ${message}`)
    return { pod: asKind<Pod>(read), problems }
  }
}
