/** Applies and updates of deployments and config maps, as the tests of this folder write them. */
import { must } from '../../../../src/base/assert.ts'
import { readAsset } from '../../../../src/host/assets.ts'
import { type Applied, applyConfiguration } from '../../../../src/kube/apply/apply.ts'
import { applySchema } from '../../../../src/kube/apply/apply-schema.ts'
import { pathsOf, setOf } from '../../../../src/kube/apply/field-set.ts'
import { decodeManagers, type ManagerOperation } from '../../../../src/kube/apply/managers.ts'
import { pathText } from '../../../../src/kube/apply/path-element.ts'
import type { ApplyTarget } from '../../../../src/kube/apply/target.ts'
import { trackCreate, trackUpdate } from '../../../../src/kube/apply/track-update.ts'
import { parseModel } from '../../../../src/kube/model.ts'
import type { KubeObject } from '../../../../src/kube/object.ts'
import { applyModelDefaults } from '../../../../src/kube/schema.ts'

export const model = parseModel(readAsset('model.json'))
export const DEPLOYMENT = 'io.k8s.api.apps.v1.Deployment'
export const CONFIG_MAP = 'io.k8s.api.core.v1.ConfigMap'
export const POD = 'io.k8s.api.core.v1.Pod'
export const NODE = 'io.k8s.api.core.v1.Node'

export interface Who {
  readonly manager: string
  readonly operation?: ManagerOperation
  readonly subresource?: string
  readonly apiVersion?: string
  readonly at?: number
}

const timeAt = (second: number): string =>
  new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString().replace('.000', '')

export function target(typeName: string, who: Who): ApplyTarget {
  const { manager, operation = 'Update', subresource = '', apiVersion = versionOf(typeName) } = who
  return {
    schema: applySchema(model, typeName),
    version: () => undefined,
    identity: { manager, operation, apiVersion, subresource },
    ignored: subresource === 'status' ? setOf(['f:spec']) : setOf(['f:status']),
    now: timeAt(who.at ?? 0),
  }
}

function versionOf(typeName: string): string {
  const [group = '', version = ''] = typeName.split('.').slice(-3)
  return group === 'core' ? version : `${group}/${version}`
}

/** An object over its whole life, with who owns what. */
export class Story {
  object: KubeObject | null = null
  readonly typeName: string

  constructor(typeName: string) {
    this.typeName = typeName
  }

  apply(who: string | Who, config: object, options: { force?: boolean } = {}): Applied {
    const whole = this.#whole(config)
    const applied = applyConfiguration({
      target: target(this.typeName, {
        ...(typeof who === 'string' ? { manager: who } : who),
        operation: 'Apply',
      }),
      live: this.object,
      config: whole,
      force: options.force === true,
    })
    this.#keep(applied.object, applied.managedFields)
    return applied
  }

  update(who: string | Who, change: object | ((object: KubeObject) => void)): void {
    const by = target(this.typeName, typeof who === 'string' ? { manager: who } : who)
    const before = this.object
    if (before === null) {
      const created = this.#whole(change as object)
      applyModelDefaults(model, this.typeName, created)
      this.#keep(created, trackCreate(by, created))
      return
    }
    const next = structuredClone(before)
    ;(change as (object: KubeObject) => void)(next)
    applyModelDefaults(model, this.typeName, next)
    this.#keep(next, trackUpdate(by, before, next, { takesEntries: by.identity.subresource === '' }))
  }

  #whole(config: object): KubeObject {
    const { metadata = {}, ...rest } = structuredClone(config) as Partial<KubeObject>
    const kind = must(this.typeName.split('.').at(-1), 'a kind')
    return { apiVersion: versionOf(this.typeName), kind, metadata: { name: 'x', ...metadata }, ...rest }
  }

  #keep(object: KubeObject, managedFields: KubeObject['metadata']['managedFields']): void {
    const { managedFields: _before, ...metadata } = object.metadata
    const kept = {
      ...object,
      metadata: { ...metadata, ...(managedFields === undefined ? {} : { managedFields }) },
    }
    applyModelDefaults(model, this.typeName, kept)
    this.object = kept
  }

  get spec(): Record<string, unknown> {
    return must(this.object, 'an object')['spec'] as Record<string, unknown>
  }

  get data(): unknown {
    return must(this.object, 'an object')['data']
  }

  /** Who owns what: `manager` or `manager/Update` to paths. */
  owners(): Record<string, string[]> {
    const managers = must(decodeManagers(this.object?.metadata.managedFields), 'readable entries')
    return Object.fromEntries(
      [...managers.values()].map(entry => [
        `${entry.manager}${entry.operation === 'Update' ? '/Update' : ''}`,
        pathsOf(entry.set).map(pathText),
      ]),
    )
  }

  timeOf(manager: string): string | undefined {
    const managers = must(decodeManagers(this.object?.metadata.managedFields), 'readable entries')
    return [...managers.values()].find(entry => entry.manager === manager)?.time
  }
}

export { timeAt }
