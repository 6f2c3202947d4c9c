/** An add-on's objects in the cluster: applied, looked at and taken away, whatever their kinds are. */
import { type Clock, sleep } from '../../base/clock.ts'
import { isInvalid, isNotFound, type KubeClient, type ResourceRef } from '../../client/kube-client.ts'
import type { Transport } from '../../client/transport.ts'
import type { Model } from '../../kube/model-types.ts'
import type { KubeObject } from '../../kube/object.ts'
import { FIELD_MANAGER, type ObjectName } from './addon-object.ts'
import { describe, nameOf } from './plan-objects.ts'
import { judge } from './readiness.ts'

export interface ObjectStoreParts {
  readonly client: KubeClient
  /** For discovery. */
  readonly transport: Transport
  readonly model: Pick<Model, 'byKind'>
  readonly clock: Clock
}

/** Kinds whose fields may not be changed and which have no data: a change makes them anew. */
const REPLACED = ['StorageClass', 'Job', 'RuntimeClass', 'ClusterRoleBinding', 'RoleBinding', 'CSIDriver']
const ESTABLISHED_MS_MAX = 15_000
const ESTABLISHED_PAUSE_MS = 50

export class ObjectStore {
  readonly #parts: ObjectStoreParts
  /** Of custom kinds, by `group/version/kind`. */
  readonly #known = new Map<string, ResourceRef>()

  constructor(parts: ObjectStoreParts) {
    this.#parts = parts
  }

  /** Null while no such kind is served. */
  async resourceOf({ apiVersion, kind }: { apiVersion: string; kind: string }): Promise<ResourceRef | null> {
    const [version = '', group = ''] = apiVersion.split('/').reverse()
    const builtIn = this.#parts.model.byKind({ group, version, kind })
    if (builtIn) return builtIn
    const key = `${apiVersion}/${kind}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const found = await this.#discover(group, version, kind)
    if (found !== null) this.#known.set(key, found)
    return found
  }

  async #discover(group: string, version: string, kind: string): Promise<ResourceRef | null> {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
    const headers = { accept: 'application/json' }
    const answer = await this.#parts.transport.request({ method: 'GET', path, headers })
    const chunks: Uint8Array[] = []
    const body = answer.body instanceof Uint8Array ? [answer.body] : answer.body
    for await (const chunk of body) chunks.push(chunk)
    if (answer.status !== 200) return null
    const list = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      resources: { name: string; kind: string; namespaced: boolean }[]
    }
    const found = list.resources.find(one => one.kind === kind && !one.name.includes('/'))
    if (found === undefined) return null
    return { group, version, resource: found.name, namespaced: found.namespaced }
  }

  /** Returns it as it is kept: a namespaced object without a namespace lies in `default`. */
  async apply(object: KubeObject): Promise<KubeObject> {
    const { client } = this.#parts
    const resource = await this.resourceOf(object)
    if (resource === null) throw new Error(`the cluster has no kind ${object.kind} of ${object.apiVersion}`)
    const placed = resource.namespaced ? inNamespace(object) : object
    const options = { fieldManager: FIELD_MANAGER, force: true }
    const applied = await client.apply(resource, placed, options).catch(async error => {
      if (!isInvalid(error) || !REPLACED.includes(object.kind)) throw error
      await this.remove(nameOf(placed))
      return client.apply(resource, placed, options)
    })
    if (object.kind === 'CustomResourceDefinition') await this.#established(placed)
    return applied
  }

  async #established(object: KubeObject): Promise<void> {
    const { clock } = this.#parts
    const untilMs = clock.monotonic() + ESTABLISHED_MS_MAX
    for (;;) {
      const found = await this.get(nameOf(object))
      if (found !== null && judge(found).ready) return
      if (clock.monotonic() > untilMs) throw new Error(`${describe(nameOf(object))} is not established`)
      await sleep(clock, ESTABLISHED_PAUSE_MS)
    }
  }

  /** Null when it, or its kind, is not there. */
  async get(name: ObjectName): Promise<KubeObject | null> {
    const resource = await this.resourceOf(name)
    if (resource === null) return null
    try {
      return await this.#parts.client.get<KubeObject>(resource, name)
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  /** Asks for it to go; what hangs on it goes behind it. */
  async remove(name: ObjectName): Promise<void> {
    const resource = await this.resourceOf(name)
    if (resource === null) return
    try {
      await this.#parts.client.delete(resource, { ...name, propagationPolicy: 'Background' })
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
  }
}

const inNamespace = (object: KubeObject): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, namespace: object.metadata.namespace ?? 'default' },
})
