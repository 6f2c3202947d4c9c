/**
 * The protobuf form of built-in kinds (`application/vnd.kubernetes.protobuf`), which client-go's typed clients speak:
 * objects in an envelope that says their kind, and frames of watch streams.
 */
import { WireError, WireReader } from '../../base/wire-reader.ts'
import { WireWriter } from '../../base/wire-writer.ts'
import type { KubeObject } from '../object.ts'
import { createForms, type ProtobufTable } from './forms.ts'
import { MessageReader } from './reader.ts'
import { MessageWriter } from './writer.ts'

export type { ProtobufTable } from './forms.ts'

export interface ProtobufCodec {
  /** False for what is not of the model, and for tables. */
  hasForm(typeName: string): boolean
  /** The body as an object of the type; throws WireError when it cannot be read. */
  decode(body: Buffer, typeName: string): KubeObject
  /** The message alone. */
  encode(typeName: string, object: Readonly<Record<string, unknown>>): Buffer
}

const MAGIC = Buffer.from('k8s\0', 'latin1')
const FRAME_HEAD_BYTES = 4
/** Memory that all messages are written in before they are copied out; more than most of them need. */
const SCRATCH_BYTES = 64 * 1024

export function createProtobufCodec(table: ProtobufTable): ProtobufCodec {
  const forms = createForms(table)
  let wire = new WireWriter(0, SCRATCH_BYTES)
  return {
    hasForm: typeName => table[typeName] !== undefined,
    decode(body, typeName) {
      if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
        throw new WireError(
          'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
        )
      }
      const { apiVersion, kind, raw } = readEnvelope(body.subarray(MAGIC.length))
      if (table[typeName] === undefined) {
        throw new WireError(`no kind "${kind}" is registered for version "${apiVersion}" in protobuf form`)
      }
      const message = new MessageReader(forms).message(typeName, raw)
      return { metadata: {}, ...message, apiVersion, kind } as KubeObject
    },
    encode(typeName, object) {
      wire.rewind()
      new MessageWriter(forms, wire).fields(typeName, object)
      const message = Buffer.from(wire.finish())
      if (message.length > SCRATCH_BYTES) wire = new WireWriter(0, SCRATCH_BYTES)
      return message
    },
  }
}

/** `runtime.Unknown`: what kind the bytes are, and the bytes. */
function readEnvelope(bytes: Buffer): { apiVersion: string; kind: string; raw: Buffer } {
  const envelope = { apiVersion: '', kind: '', raw: Buffer.alloc(0) as Buffer }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) {
      for (const type = new WireReader(reader.bytes()); type.next(); ) {
        if (type.field === 1) envelope.apiVersion = type.string()
        else if (type.field === 2) envelope.kind = type.string()
        else type.skip()
      }
    } else if (reader.field === 2) envelope.raw = reader.bytes()
    else reader.skip()
  }
  return envelope
}

/** What stands before and behind a message of so many bytes. */
export function envelopeOf(apiVersion: string, kind: string, bytes: number): [head: Buffer, end: Buffer] {
  const head = new WireWriter()
  head.raw(MAGIC)
  head.message(1, type => {
    type.setString(1, apiVersion)
    type.setString(2, kind)
  })
  head.lengthOf(2, bytes)
  return [head.finish(), ENVELOPE_END]
}

/** Neither a content encoding nor a content type. */
const ENVELOPE_END = Buffer.of(0x1a, 0, 0x22, 0)

/** An object in its envelope, ready to be sent. */
export const inEnvelope = (apiVersion: string, kind: string, message: Buffer): Buffer => {
  const [head, end] = envelopeOf(apiVersion, kind, message.length)
  return Buffer.concat([head, message, end])
}

/** The start of a field with bytes, which are written apart. */
export function fieldHead(field: number, bytes: number): Buffer {
  const wire = new WireWriter(0, 16)
  wire.lengthOf(field, bytes)
  return wire.finish()
}

/** One event of a watch: its length, then a WatchEvent, which is not in an envelope although its object is. */
export function watchFrame(type: string, enveloped: Buffer): Buffer {
  const wire = new WireWriter(FRAME_HEAD_BYTES, enveloped.length + 64)
  wire.setString(1, type)
  wire.message(2, raw => raw.repeatedBytes(1, enveloped))
  const frame = wire.finish()
  frame.writeUInt32BE(frame.length - FRAME_HEAD_BYTES, 0)
  return frame
}
