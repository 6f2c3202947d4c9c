/**
 * Makes `build/model/protobuf.json`, the field numbers of Kubernetes' messages, out of the descriptors that every
 * program built with the Kubernetes libraries carries; here kubectl of the development dependencies.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { WireReader } from '../src/base/wire-reader.ts'

const root = join(import.meta.dirname, '..')
const GZIP_START = Buffer.of(0x1f, 0x8b, 0x08)
/** Longer than the longest descriptor (of core/v1), compressed. */
const DESCRIPTOR_BYTES_MAX = 256 * 1024
const WANTED =
  /^k8s\.io\.(api\.\w+\.v\d+|apimachinery\.pkg\.(apis\.meta\.v1|api\.resource|util\.intstr|runtime))$/
const LABEL_REPEATED = 3
const MESSAGE = 11

interface Field {
  name: string
  number: number
  label: number
  type: number
  typeName: string
}

interface Message {
  name: string
  fields: Field[]
  entries: Message[]
  isMapEntry: boolean
}

/** One message: by field number `name` + type code; `[]` in front for a list, `{}` for a map with string keys. */
type Table = Record<string, Record<string, [name: string, type: string]>>

const text = (reader: WireReader) => reader.bytes().toString('utf8')

function readField(bytes: Buffer): Field {
  const field: Field = { name: '', number: 0, label: 0, type: 0, typeName: '' }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) field.name = text(reader)
    else if (reader.field === 3) field.number = Number(reader.varint())
    else if (reader.field === 4) field.label = Number(reader.varint())
    else if (reader.field === 5) field.type = Number(reader.varint())
    else if (reader.field === 6) field.typeName = text(reader).replace(/^\./, '')
    else reader.skip()
  }
  return field
}

function readMessage(bytes: Buffer): Message {
  const message: Message = { name: '', fields: [], entries: [], isMapEntry: false }
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) message.name = text(reader)
    else if (reader.field === 2) message.fields.push(readField(reader.bytes()))
    else if (reader.field === 3) message.entries.push(readMessage(reader.bytes()))
    else if (reader.field === 7) message.isMapEntry = isMapEntry(reader.bytes())
    else reader.skip()
  }
  return message
}

function isMapEntry(options: Buffer): boolean {
  for (const reader = new WireReader(options); reader.next(); ) {
    if (reader.field === 7) return reader.varint() === 1n
    reader.skip()
  }
  return false
}

const typeNameOf = (protobufName: string) => protobufName.replace(/^k8s\.io\./, 'io.k8s.')

const scalars: Record<number, string> = {
  1: 'double',
  3: 'int',
  5: 'int',
  4: 'int',
  13: 'int',
  8: 'bool',
  9: 'string',
  12: 'bytes',
}

function codeOf(field: Field): string {
  if (field.type === MESSAGE) return typeNameOf(field.typeName)
  const code = scalars[field.type]
  if (code === undefined) throw new Error(`field ${field.name} has the unexpected type ${field.type}`)
  return code
}

function addFile(table: Table, descriptor: Buffer): void {
  let packageName = ''
  const messages: Message[] = []
  for (const reader = new WireReader(descriptor); reader.next(); ) {
    if (reader.field === 2) packageName = text(reader)
    else if (reader.field === 4) messages.push(readMessage(reader.bytes()))
    else reader.skip()
  }
  if (!WANTED.test(packageName)) return
  for (const message of messages) {
    const name = `${packageName}.${message.name}`
    const entries = new Map(message.entries.map(entry => [`${name}.${entry.name}`, entry]))
    const fields: Record<string, [string, string]> = {}
    for (const field of message.fields) {
      const entry = entries.get(field.typeName)
      const value = entry?.fields.find(({ number }) => number === 2)
      const list = field.label === LABEL_REPEATED ? '[]' : ''
      fields[field.number] = [field.name, value ? `{}${codeOf(value)}` : `${list}${codeOf(field)}`]
    }
    table[typeNameOf(name)] = fields
  }
}

const program = readFileSync(join(root, 'build/bin/kubectl'))
const table: Table = {}
for (let at = program.indexOf(GZIP_START); at !== -1; at = program.indexOf(GZIP_START, at + 1)) {
  let descriptor: Buffer
  try {
    descriptor = gunzipSync(program.subarray(at, at + DESCRIPTOR_BYTES_MAX), { finishFlush: 2 })
  } catch {
    continue
  }
  const isDescriptor = /^[\s\S]{2,3}k8s\.io\/[\w/.-]+\.proto/.test(descriptor.toString('latin1', 0, 200))
  if (isDescriptor) addFile(table, descriptor)
}
if (!table['io.k8s.api.core.v1.Pod']) throw new Error('no descriptors found in kubectl')
mkdirSync(join(root, 'build/model'), { recursive: true })
writeFileSync(join(root, 'build/model/protobuf.json'), JSON.stringify(table))
