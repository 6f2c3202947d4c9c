import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import {
  CONTAINERD_EVENTS_PROTO,
  CONTAINERD_TASKS_PROTO,
  CRI_PROTO,
} from '../../../../../../src/runtime/kubelet/runtime/cri/cri-proto.ts'
import {
  camelCase,
  type ProtoMessage,
  type ProtoNamespace,
  parseProto,
} from '../../../../../../src/runtime/kubelet/runtime/cri/proto-text.ts'

const CONTAINERD = '/usr/bin/containerd'
/** Messages that several of upstream's stand behind, by any one of them. */
const ALIASES: Readonly<Record<string, string>> = {
  PodSandboxRequest: 'StopPodSandboxRequest',
  ContainerRequest: 'StartContainerRequest',
  UrlResponse: 'AttachResponse',
}
/** Messages and fields of later versions than the one that Debian has. */
const NEWER =
  /^(CDIDevice|IDMapping|UserNamespace|ContainerUser|LinuxContainerUser|RuntimeHandler|RuntimeHandlerFeatures|RuntimeFeatures)$|^(ContainerConfig\.CDIDevices|ContainerStatus\.user|StatusResponse\.(runtimeHandlers|features)|NamespaceOption\.usernsOptions|Mount\.([ug]idMappings|recursiveReadOnly|image|imageSubPath)|LinuxContainerSecurityContext\.supplementalGroupsPolicy)$/
const OURS = ['Nothing', 'Empty', 'Any', 'AnyTaskExit', 'TaskExit']

type Numbers = Map<string, ReadonlyMap<string, number>>

test('a definition becomes the JSON that the loader takes', () => {
  const text = `package a.b;
    enum Kind { X = 0; Y = 1; }
    message M { string a_name = 1; repeated int32 b = 2; map<string, string> c = 5; }
    service S { rpc Do(M) returns (stream M); }`
  assert.deepEqual(parseProto(text), {
    nested: {
      a: {
        nested: {
          b: {
            nested: {
              Kind: { values: { X: 0, Y: 1 } },
              M: {
                fields: {
                  aName: { type: 'string', id: 1 },
                  b: { type: 'int32', id: 2, rule: 'repeated' },
                  c: { type: 'string', id: 5, keyType: 'string' },
                },
              },
              S: { methods: { Do: { requestType: 'M', responseType: 'M', responseStream: true } } },
            },
          },
        },
      },
    },
  })
  assert.throws(() => parseProto('package a;\nmessage M { string a; }'), /cannot be read/)
})

const skip = existsSync(CONTAINERD) ? false : 'containerd is not installed'

test('field numbers agree with the installed containerd', { skip }, () => {
  const installed = descriptorsIn(readFileSync(CONTAINERD))
  for (const [proto, name] of [
    [CRI_PROTO, 'runtime.v1'],
    [CONTAINERD_EVENTS_PROTO, 'containerd.services.events.v1'],
    [CONTAINERD_TASKS_PROTO, 'containerd.services.tasks.v1'],
  ] as const) {
    const theirs = installed.get(name)
    assert.ok(theirs, `the descriptors of ${name} are in the program`)
    for (const [message, { fields }] of messagesOf(parseProto(proto))) {
      if (OURS.includes(message)) continue
      const known = theirs.get(ALIASES[message] ?? message)
      if (known === undefined && NEWER.test(message)) continue
      assert.ok(known, `${name} has ${message}`)
      for (const [field, { id }] of Object.entries(fields)) {
        const isNewer: boolean = !known.has(field) && NEWER.test(`${message}.${field}`)
        assert.ok(isNewer || id === known.get(field), `${message}.${field}`)
      }
    }
  }
})

function messagesOf(root: ProtoNamespace): [string, ProtoMessage][] {
  return Object.entries(root.nested).flatMap(([name, declaration]) => {
    if ('nested' in declaration) return messagesOf(declaration)
    return 'fields' in declaration ? [[name, declaration] as [string, ProtoMessage]] : []
  })
}

/** Go programs carry their protocols as gzipped descriptors. By package, by message: field numbers by name. */
function descriptorsIn(program: Buffer): Map<string, Numbers> {
  const found = new Map<string, Numbers>()
  const magic = Buffer.from([0x1f, 0x8b, 0x08])
  for (let at = program.indexOf(magic); at >= 0; at = program.indexOf(magic, at + 1)) {
    try {
      // Z_SYNC_FLUSH: what follows the stream is no error.
      readFile(gunzipSync(program.subarray(at, at + 200_000), { finishFlush: 2 }), found)
    } catch {
      // Something else that happens to begin like it.
    }
  }
  return found
}

function readFile(file: Buffer, found: Map<string, Numbers>): void {
  let name = ''
  const messages: [string, ReadonlyMap<string, number>][] = []
  for (const [field, value] of fieldsOf(file)) {
    if (field === 2) name = value.toString()
    if (field === 4 && Buffer.isBuffer(value)) messages.push(readMessage(value))
  }
  const known = found.get(name) ?? new Map()
  for (const [message, fields] of messages) known.set(message, fields)
  found.set(name, known)
}

function readMessage(message: Buffer): [string, ReadonlyMap<string, number>] {
  let name = ''
  const numbers = new Map<string, number>()
  for (const [field, value] of fieldsOf(message)) {
    if (field === 1) name = value.toString()
    if (field !== 2 || !Buffer.isBuffer(value)) continue
    const parts = new Map(fieldsOf(value))
    numbers.set(camelCase(String(parts.get(1))), Number(parts.get(3)))
  }
  return [name, numbers]
}

function* fieldsOf(message: Buffer): Generator<[number, Buffer | number]> {
  let at = 0
  const varint = () => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++]
      if (byte === undefined) throw new RangeError('cut off')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const kind = tag & 7
    const field = Math.floor(tag / 8)
    if (kind === 0) yield [field, varint()]
    else if (kind === 2) {
      const length = varint()
      yield [field, message.subarray(at, at + length)]
      at += length
    } else throw new RangeError('not a descriptor')
  }
}
