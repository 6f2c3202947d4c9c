/** What a served resource that is not of the model brings along instead of it. */
import type { ApplySchema } from '../../../kube/apply/apply-schema.ts'
import type { ScalePaths } from '../../../kube/custom-definition.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { DecodeResult, FieldValidation } from '../../../kube/schema.ts'
import type { KeyValue } from '../../store/store.ts'

export interface ValueCodec {
  /** A body or a patched object in this version: pruned, with defaults. */
  decode(value: KubeObject, mode: FieldValidation): DecodeResult
  /** A fresh object in this version. `prepare` comes first where it asks for it. */
  read(kv: KeyValue): KubeObject
  /** True when the bytes, behind their head, are what is served. */
  isAsStored(kv: KeyValue): boolean
  /** Null when all of it can be read at once. */
  prepare(entries: readonly KeyValue[]): Promise<void> | null
  /** False: versions differ in nothing but their names. */
  readonly asksWebhook: boolean
  /** An object of any version, in this one. */
  fromVersion(object: KubeObject): Promise<KubeObject>
  /** The object as it is to be stored. */
  toStored(object: KubeObject): Promise<KubeObject>
}

export interface CustomForm {
  readonly codec: ValueCodec
  readonly applySchema: ApplySchema
  readonly scale: ScalePaths | null
  /** What every answer says: the version is on its way out. */
  readonly warning: string | null
  /** The definition is being deleted: nothing new is made. */
  readonly isTerminating: boolean
  /** Aborted when the definition is another or gone; watches end. */
  readonly gone: AbortSignal
  /** The schema as the definition states it. */
  readonly openApi: Readonly<Record<string, unknown>>
}
