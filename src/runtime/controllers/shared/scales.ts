/** Scales of any kind that has one: of those that the API server brings along, and of custom resources. */
import type { Informer } from '../../../client/informer.ts'
import type { KubeClient, ResourceRef } from '../../../client/kube-client.ts'
import type { CustomDefinition } from '../../../kube/custom-definition.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ControllerContext } from './context.ts'
import { customResourceOf, definitionInformer } from './custom-resources.ts'

export interface Scale extends KubeObject {
  spec?: { replicas?: number }
  status?: { replicas: number; selector?: string }
}

export interface ScaleTarget {
  readonly resource: ResourceRef
  readonly namespace: string
  readonly name: string
}

export class Scales {
  readonly #context: ControllerContext
  readonly #definitions: Informer<CustomDefinition>

  constructor(context: ControllerContext) {
    this.#context = context
    this.#definitions = definitionInformer(context.informers)
  }

  /** Where objects of the kind are served; undefined when there is no such kind. */
  resourceOf(apiVersion: string, kind: string): ResourceRef | undefined {
    const [group, version] = splitApiVersion(apiVersion)
    const { model } = this.#context
    const known =
      model.byKind({ group, version, kind }) ??
      model.resources.find(each => each.group === group && each.kind === kind)
    if (known !== undefined) return known
    const definition = this.#definitions
      .list()
      .find(each => each.spec.group === group && each.spec.names.kind === kind)
    return definition === undefined ? undefined : customResourceOf(definition)
  }

  /** Throws what the API server answers; 404 also for kinds without a scale. */
  get(client: KubeClient, { resource, namespace, name }: ScaleTarget): Promise<Scale> {
    return client.get<Scale>(resource, { namespace, name, subresource: 'scale' })
  }
}

function splitApiVersion(apiVersion: string): [group: string, version: string] {
  const [first = '', second] = apiVersion.split('/')
  return second === undefined ? ['', first] : [first, second]
}
