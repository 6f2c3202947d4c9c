/** Decoders of Kubernetes' messages made by protobufjs out of the descriptors that kubectl carries. */
import { readFileSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'
import { loadFileDescriptorSetFromBuffer, type MessageTypeDefinition } from '@grpc/proto-loader'
import { WireWriter } from '../../src/base/wire-writer.ts'

const GZIP_START = Buffer.of(0x1f, 0x8b, 0x08)
const GZIP_HEAD_BYTES = 10
const DESCRIPTOR_BYTES_MAX = 256 * 1024
/** Of stable kinds; the one about discovery bears the package of another. */
const FILE_NAME =
  /^[\s\S]{2,3}(k8s\.io\/(?:apimachinery|api\/(?!apidiscovery)\w+\/v\d+)\/[\w/]*generated\.proto)/

export type Decode = (bytes: Buffer) => Record<string, unknown>

/** By full name, such as `k8s.io.api.core.v1.Pod`. */
export function kubectlDecoders(kubectl: string): ReadonlyMap<string, Decode> {
  const files = new Map<string, Buffer>()
  const program = readFileSync(kubectl)
  for (let at = program.indexOf(GZIP_START); at !== -1; at = program.indexOf(GZIP_START, at + 1)) {
    const descriptor = unzipped(program.subarray(at, at + DESCRIPTOR_BYTES_MAX))
    const name = descriptor === null ? null : FILE_NAME.exec(descriptor.toString('latin1', 0, 200))
    if (descriptor !== null && name?.[1] !== undefined) files.set(name[1], descriptor)
  }
  const set = new WireWriter()
  for (const descriptor of files.values()) set.repeatedBytes(1, descriptor)
  const options = { keepCase: true, longs: Number, bytes: String, enums: String }
  const types = Object.entries(loadFileDescriptorSetFromBuffer(set.finish(), options))
  return new Map(
    types.map(([name, type]) => [
      name,
      (type as unknown as MessageTypeDefinition<object, object>).deserialize as Decode,
    ]),
  )
}

function unzipped(bytes: Buffer): Buffer | null {
  try {
    // Not gunzip, which would go on with the next descriptor if it follows at once.
    return inflateRawSync(bytes.subarray(GZIP_HEAD_BYTES), { finishFlush: 2 })
  } catch {
    return null
  }
}
