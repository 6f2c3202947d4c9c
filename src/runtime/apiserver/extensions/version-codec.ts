/**
 * How objects of one version of a custom resource are read and written: bodies are pruned and get defaults, stored
 * objects of any version are brought into this one, and what is stored as it is served is known by its bytes.
 */
import { assert, must } from '../../../base/assert.ts'
import { cloneJson } from '../../../kube/clone.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { Model } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { type DecodeResult, decodeObject, type FieldValidation } from '../../../kube/schema.ts'
import { applyDefaults } from '../../../kube/structural-schema/defaults.ts'
import { prune, pruneNulls } from '../../../kube/structural-schema/prune.ts'
import type { Structural } from '../../../kube/structural-schema/structural.ts'
import type { KeyValue } from '../../store/store.ts'
import type { ValueCodec } from '../storage/custom-form.ts'
import { coerceEmbedded } from './embedded-metadata.ts'

export const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const FORMAT_PLAIN = 1
const FORMAT_BYTES = 1

export interface CodecParts {
  readonly model: Model
  readonly group: string
  readonly kind: string
  /** Of this codec. */
  readonly version: string
  readonly storageVersion: string
  /** By version, those that are not served too. */
  readonly schemas: ReadonlyMap<string, Structural>
  readonly converter: Converter
}

/** Changes the version of whole objects. */
export interface Converter {
  /** False: only the version is rewritten. */
  readonly asksWebhook: boolean
  /** In order; each result is a new object or the one given. Throws StatusError. */
  convert(
    objects: readonly KubeObject[],
    apiVersion: string,
  ): readonly KubeObject[] | Promise<readonly KubeObject[]>
}

export function createVersionCodec(parts: CodecParts): ValueCodec {
  return new Codec(parts)
}

class Codec implements ValueCodec {
  readonly #parts: CodecParts
  readonly #apiVersion: string
  readonly #schema: Structural
  readonly #head: Buffer
  /** Whether bytes can be served as they are. */
  readonly #asStored = new WeakMap<KeyValue, boolean>()
  /** What a webhook made of entries in other versions. */
  readonly #converted = new WeakMap<KeyValue, KubeObject>()

  constructor(parts: CodecParts) {
    this.#parts = parts
    this.#apiVersion = `${parts.group}/${parts.version}`
    this.#schema = must(parts.schemas.get(parts.version), `the schema of version ${parts.version}`)
    const { kind } = parts
    this.#head = Buffer.from(
      `${String.fromCharCode(FORMAT_PLAIN)}${JSON.stringify({ apiVersion: this.#apiVersion, kind }).slice(0, -1)},"metadata":{`,
    )
  }

  decode(value: KubeObject, mode: FieldValidation): DecodeResult {
    const object = cloneJson(value) as KubeObject
    const metadata = decodeObject(this.#parts.model, OBJECT_META, object.metadata ?? {}, mode)
    object.metadata = metadata.object
    applyDefaults(object, this.#schema)
    const removed = prune(object, this.#schema)
    pruneNulls(object, this.#schema)
    const embedded = coerceEmbedded(object, this.#schema, { model: this.#parts.model, drops: false })
    const inMetadata = metadata.unknownFields.map(text =>
      text.replace('unknown field "', 'unknown field "metadata.'),
    )
    const unknown = removed.map(path => `unknown field ${JSON.stringify(path)}`)
    return {
      object,
      unknownFields: mode === 'ignore' ? [] : [...inMetadata, ...unknown, ...embedded.unknownFields],
      typeErrors: [...metadata.typeErrors, ...embedded.typeErrors],
    }
  }

  read(kv: KeyValue): KubeObject {
    const known = this.#converted.get(kv)
    if (known !== undefined) return cloneJson(known)
    const stored = this.#storedObject(kv)
    if (stored.apiVersion === this.#apiVersion) return stored
    const converted = this.#parts.converter.convert([stored], this.#apiVersion)
    assert(!(converted instanceof Promise), 'an entry that a webhook converts is prepared before it is read')
    return this.#finished(must(converted[0], 'one object for one object'))
  }

  isAsStored(kv: KeyValue): boolean {
    if (!startsWith(kv.value, this.#head)) return false
    const known = this.#asStored.get(kv)
    if (known !== undefined) return known
    const object = parse(kv)
    const isSame = !this.#complete(object, this.#schema)
    this.#asStored.set(kv, isSame)
    return isSame
  }

  prepare(entries: readonly KeyValue[]): Promise<void> | null {
    const missing = entries.filter(kv => !this.#converted.has(kv) && !startsWith(kv.value, this.#head))
    if (missing.length === 0) return null
    const converted = this.#parts.converter.convert(
      missing.map(kv => this.#storedObject(kv)),
      this.#apiVersion,
    )
    if (!(converted instanceof Promise)) return null
    return converted.then(objects => {
      for (const [index, kv] of missing.entries()) {
        this.#converted.set(kv, this.#finished(must(objects[index], 'one object for each')))
      }
    })
  }

  get asksWebhook(): boolean {
    return this.#parts.converter.asksWebhook
  }

  async fromVersion(object: KubeObject): Promise<KubeObject> {
    if (object.apiVersion === this.#apiVersion) return object
    const [converted] = await this.#parts.converter.convert([cloneJson(object)], this.#apiVersion)
    return this.#finished(must(converted, 'one object for one object'))
  }

  async toStored(object: KubeObject): Promise<KubeObject> {
    const { group, storageVersion, version, schemas, converter } = this.#parts
    if (storageVersion === version) return object
    const [converted] = await converter.convert([cloneJson(object)], `${group}/${storageVersion}`)
    const stored = must(converted, 'one object for one object')
    const schema = must(schemas.get(storageVersion), 'the schema of the stored version')
    prune(stored, schema)
    pruneNulls(stored, schema)
    return stored
  }

  /** In the version that it is stored in, with the defaults of that version. */
  #storedObject(kv: KeyValue): KubeObject {
    const object = parse(kv)
    const schema = this.#parts.schemas.get(object.apiVersion.slice(object.apiVersion.indexOf('/') + 1))
    if (schema !== undefined) this.#complete(object, schema)
    return object
  }

  /** True when something changed. */
  #complete(object: KubeObject, schema: Structural): boolean {
    const removed = prune(object, schema)
    const added = applyDefaults(object, schema)
    const embedded = coerceEmbedded(object, schema, { model: this.#parts.model, drops: true })
    return removed.length > 0 || added || embedded.changed
  }

  #finished(object: KubeObject): KubeObject {
    prune(object, this.#schema)
    pruneNulls(object, this.#schema)
    return object
  }
}

function startsWith(value: Buffer, head: Buffer): boolean {
  return value.length >= head.length && value.compare(head, 0, head.length, 0, head.length) === 0
}

function parse(kv: KeyValue): KubeObject {
  assert(kv.value[0] === FORMAT_PLAIN, 'the value has a format that this version reads')
  const object = JSON.parse(kv.value.toString('utf8', FORMAT_BYTES)) as KubeObject
  assert(isMap(object.metadata), 'a stored object has metadata')
  object.metadata.resourceVersion = String(kv.modRevision)
  return object
}
