/**
 * Makes `build/model/protobuf.json`, how Kubernetes' objects look in protobuf, out of the Go types that the programs
 * of the development dependencies carry: field numbers, JSON names, and what is written when a field is empty.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GoField, type GoType, goKinds, readGoTypes } from './go-types.ts'

const root = join(import.meta.dirname, '..')
/** helm is built with later libraries than kubectl is, and knows the kinds of definitions. */
const PROGRAMS = ['build/bin/kubectl', 'build/bin/helm']
const WANTED =
  /^k8s\.io\/(api\/\w+\/v\d+|apimachinery\/pkg\/apis\/meta\/v1|apiextensions-apiserver\/pkg\/apis\/apiextensions\/v1)$/
/** Kinds that became stable later than these programs: the fields kept their numbers. */
const PROMOTED = /^(k8s\.io\/api\/admissionregistration\/v1)beta1$/
/** Tables have no protobuf form, whatever their tags say. */
const WITHOUT_FORM = /^v1\.Table/

/**
 * One message: by field number JSON name, type code and marks. Type codes: `[]` in front for a list, `{}` for a map
 * with string keys. Marks: `p` a pointer, written only when it is set; `o` not in JSON when it is empty; `i` a struct
 * whose fields are its parent's in JSON.
 */
type Table = Record<string, Record<string, [name: string, type: string, marks: string]>>

const typeNameOf = (type: GoType): string =>
  `io.k8s.${stable(type).slice('k8s.io/'.length).replaceAll('/', '.')}.${type.name.split('.').at(-1)}`

const stable = ({ packagePath }: GoType): string => packagePath.replace(PROMOTED, '$1')

/** Field numbers of the kind that neither program knows. Source: its protocol definition. */
const APISERVICE: Table = (() => {
  const base = 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1'
  const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1'
  return {
    [`${base}.APIService`]: {
      1: ['metadata', `${meta}.ObjectMeta`, 'o'],
      2: ['spec', `${base}.APIServiceSpec`, 'o'],
      3: ['status', `${base}.APIServiceStatus`, 'o'],
    },
    [`${base}.APIServiceList`]: {
      1: ['metadata', `${meta}.ListMeta`, 'o'],
      2: ['items', `[]${base}.APIService`, ''],
    },
    [`${base}.APIServiceSpec`]: {
      1: ['service', `${base}.ServiceReference`, 'po'],
      2: ['group', 'string', 'o'],
      3: ['version', 'string', 'o'],
      4: ['insecureSkipTLSVerify', 'bool', 'o'],
      5: ['caBundle', 'bytes', 'o'],
      7: ['groupPriorityMinimum', 'int', ''],
      8: ['versionPriority', 'int', ''],
    },
    [`${base}.APIServiceStatus`]: { 1: ['conditions', `[]${base}.APIServiceCondition`, 'o'] },
    [`${base}.APIServiceCondition`]: {
      1: ['type', 'string', ''],
      2: ['status', 'string', ''],
      3: ['lastTransitionTime', `${meta}.Time`, 'o'],
      4: ['reason', 'string', 'o'],
      5: ['message', 'string', 'o'],
    },
    [`${base}.ServiceReference`]: {
      1: ['namespace', 'string', 'o'],
      2: ['name', 'string', 'o'],
      3: ['port', 'int', 'po'],
    },
  }
})()

/** Fields of 1.36 that both programs are too old for. Source: the field numbers that Kubernetes publishes. */
const LATER: Table = (() => {
  const core = 'io.k8s.api.core.v1'
  const resource = 'io.k8s.api.resource.v1'
  const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1'
  const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity'
  return {
    [`${core}.PodSpec`]: { 43: ['schedulingGroup', `${core}.PodSchedulingGroup`, 'po'] },
    [`${core}.PodSchedulingGroup`]: { 1: ['podGroupName', 'string', 'po'] },
    [`${core}.PodStatus`]: {
      21: ['nodeAllocatableResourceClaimStatuses', `[]${core}.NodeAllocatableResourceClaimStatus`, 'o'],
    },
    [`${core}.NodeAllocatableResourceClaimStatus`]: {
      1: ['resourceClaimName', 'string', ''],
      2: ['containers', '[]string', 'o'],
      3: ['resources', `{}${quantity}`, ''],
    },
    [`${core}.ResourceHealth`]: { 6: ['message', 'string', 'po'] },
    [`${core}.VolumeMountStatus`]: { 5: ['volumeStatus', `${core}.VolumeStatus`, 'po'] },
    [`${core}.VolumeStatus`]: { 1: ['image', `${core}.ImageVolumeStatus`, 'po'] },
    [`${core}.ImageVolumeStatus`]: { 1: ['imageRef', 'string', ''] },
    [`${resource}.Device`]: {
      13: ['nodeAllocatableResourceMappings', `{}${resource}.NodeAllocatableResourceMapping`, 'o'],
    },
    [`${resource}.NodeAllocatableResourceMapping`]: {
      1: ['capacityKey', 'string', 'po'],
      2: ['allocationMultiplier', quantity, 'po'],
    },
    [`${resource}.DeviceAttribute`]: {
      6: ['ints', '[]int', 'o'],
      7: ['bools', '[]bool', 'o'],
      8: ['strings', '[]string', 'o'],
      9: ['versions', '[]string', 'o'],
    },
    'io.k8s.api.storage.v1.CSIDriverSpec': { 11: ['preventPodSchedulingIfMissing', 'bool', 'po'] },
    [`${meta}.ListMeta`]: { 5: ['shardInfo', `${meta}.ShardInfo`, 'po'] },
    [`${meta}.ShardInfo`]: { 1: ['selector', 'string', ''] },
  }
})()

const messages = new Map<string, GoType>()
const table: Table = { ...APISERVICE, ...LATER }

function scalarOf(kind: number): string {
  if (kind === goKinds.bool) return 'bool'
  if (kind === goKinds.string) return 'string'
  if (kind === goKinds.float32 || kind === goKinds.float64) return 'double'
  return kind >= goKinds.firstInteger && kind <= goKinds.lastInteger ? 'int' : ''
}

/** The code of a value that is no list and no map. */
function codeOf(type: GoType): string {
  if (type.kind === goKinds.pointer && type.element) return codeOf(type.element)
  if (type.kind === goKinds.slice && type.element?.kind === goKinds.uint8) return 'bytes'
  if (type.kind === goKinds.struct) {
    messages.set(typeNameOf(type), type)
    return typeNameOf(type)
  }
  // A named list is a message of its own, with the one field `items`.
  if (type.kind === goKinds.slice && type.packagePath !== '' && type.element) {
    table[typeNameOf(type)] = { 1: ['items', `[]${codeOf(type.element)}`, ''] }
    return typeNameOf(type)
  }
  const code = scalarOf(type.kind)
  if (code === '') throw new Error(`the type ${type.name} has no form in protobuf`)
  return code
}

function fieldCodeOf({ type }: GoField, isRepeated: boolean): string {
  const { element } = type
  if (type.kind === goKinds.map && element) return `{}${codeOf(element)}`
  const isBytes = element?.kind === goKinds.uint8
  const isList = type.kind === goKinds.slice && !isBytes && (isRepeated || type.packagePath === '')
  return isList && element ? `[]${codeOf(element)}` : codeOf(type)
}

const tagOf = (tag: string, key: string): string[] =>
  new RegExp(`(?:^| )${key}:"([^"]*)"`).exec(tag)?.[1]?.split(',') ?? []

function addMessage(type: GoType): void {
  // The others have a form of their own in JSON.
  if (!WANTED.test(stable(type)) || WITHOUT_FORM.test(type.name)) return
  const fields: Table[string] = {}
  for (const field of type.fields) {
    const [, number, label] = tagOf(field.tag, 'protobuf')
    if (number === undefined) continue
    const [name = '', ...options] = tagOf(field.tag, 'json')
    const isOmitted = options.includes('omitempty') || options.includes('omitzero')
    const marks = [
      field.type.kind === goKinds.pointer ? 'p' : '',
      isOmitted ? 'o' : '',
      options.includes('inline') ? 'i' : '',
    ]
    fields[number] = [name, fieldCodeOf(field, label === 'rep'), marks.join('')]
  }
  table[typeNameOf(type)] = { ...LATER[typeNameOf(type)], ...fields }
}

for (const program of PROGRAMS) {
  const all = readGoTypes(join(root, program))
  const structs = all.filter(type => type.kind === goKinds.struct && WANTED.test(stable(type)))
  // What is stable already wins over its earlier versions.
  structs.sort((a, b) => Number(PROMOTED.test(b.packagePath)) - Number(PROMOTED.test(a.packagePath)))
  for (const type of structs) messages.set(typeNameOf(type), type)
  for (const type of messages.values()) addMessage(type)
  messages.clear()
}
if (!table['io.k8s.api.core.v1.Pod']) throw new Error('no Go types found in kubectl')
mkdirSync(join(root, 'build/model'), { recursive: true })
writeFileSync(join(root, 'build/model/protobuf.json'), JSON.stringify(table))
