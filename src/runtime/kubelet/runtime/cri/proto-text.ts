/**
 * Reads the small part of the .proto language that our own definitions use (messages, enums, services, maps,
 * repeated fields) into the JSON form that the gRPC loader takes. Pure.
 */
import { Mk8sError } from '../../../../base/errors.ts'

export interface ProtoNamespace {
  readonly nested: Record<string, ProtoNamespace | ProtoMessage | ProtoEnum | ProtoService>
}

export interface ProtoField {
  readonly type: string
  readonly id: number
  readonly rule?: 'repeated'
  readonly keyType?: string
}

export interface ProtoMessage {
  readonly fields: Record<string, ProtoField>
}

export interface ProtoEnum {
  readonly values: Record<string, number>
}

export interface ProtoService {
  readonly methods: Record<
    string,
    { readonly requestType: string; readonly responseType: string; readonly responseStream: boolean }
  >
}

const FIELD = /^(repeated )?(?:map<(\w+), ?(\w+)>|(\w+)) (\w+) = (\d+);$/
const METHOD = /^rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\);$/
const VALUE = /^(\w+) = (\d+);$/

type Declaration = ProtoMessage | ProtoEnum | ProtoService

/** One declaration or field per line; a one-line message may hold its fields between braces. */
export function parseProto(text: string): ProtoNamespace {
  const lines = text
    .replaceAll(/([{;])[ \t]*/g, '$1\n')
    .replaceAll('}', '\n}\n')
    .split('\n')
  let packageName = ''
  let open: Declaration | undefined
  const declarations: Record<string, Declaration> = {}
  for (const line of lines.map(each => each.trim()).filter(each => each !== '')) {
    const [word = '', name = ''] = line.split(' ')
    if (line === '}') open = undefined
    else if (open !== undefined) addMember(open, line)
    else if (word === 'package') packageName = name.replace(';', '')
    else {
      open = openDeclaration(word)
      declarations[name] = open
    }
  }
  return nest(packageName.split('.'), { nested: declarations })
}

function openDeclaration(word: string): Declaration {
  if (word === 'message') return { fields: {} }
  if (word === 'enum') return { values: {} }
  if (word === 'service') return { methods: {} }
  throw new Mk8sError('kubelet/runtime', `a protocol definition holds the unknown word ${word}`)
}

function addMember(declaration: Declaration, line: string): void {
  if ('values' in declaration) {
    const [, name = '', value] = VALUE.exec(line) ?? wrong(line)
    declaration.values[name] = Number(value)
  } else if ('methods' in declaration) {
    const [, name = '', requestType = '', stream, responseType = ''] = METHOD.exec(line) ?? wrong(line)
    declaration.methods[name] = { requestType, responseType, responseStream: stream !== undefined }
  } else {
    const [, repeated, keyType, valueType, type, name = '', id] = FIELD.exec(line) ?? wrong(line)
    declaration.fields[camelCase(name)] = {
      type: type ?? valueType ?? '',
      id: Number(id),
      ...(repeated === undefined ? {} : { rule: 'repeated' as const }),
      ...(keyType === undefined ? {} : { keyType }),
    }
  }
}

/** Names on the wire are numbers, so that the messages' own spelling is free. */
export const camelCase = (name: string) =>
  name.replaceAll(/_(\w)/g, (_all, letter: string) => letter.toUpperCase())

function wrong(line: string): never {
  throw new Mk8sError('kubelet/runtime', `a protocol definition cannot be read: ${line}`)
}

function nest(path: readonly string[], inner: ProtoNamespace): ProtoNamespace {
  return path.reduceRight((nested, name) => ({ nested: { [name]: nested } }), inner)
}
