/**
 * An add-on's manifests with its parameters filled in. Pure. Only strings are looked at, after the YAML was parsed, so
 * no value can add structure: `${name}` alone becomes the value with its type, and inside a longer string, or as
 * `${name:text}`, its text, a list joined with commas. `$${` stands for `${`.
 */
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { setKey } from '../../kube/clone.ts'
import type { KubeObject } from '../../kube/object.ts'
import { parseYamlDocuments } from '../../kube/yaml.ts'
import { NAME_LABEL, type ParameterValue, type ParameterValues } from './addon-object.ts'
import type { AddonDefinition } from './definition.ts'

/** What manifests may name besides parameters, as `${mk8s.…}`. */
export interface ClusterFacts {
  readonly clusterDomain: string
  readonly serviceCidr: string
  readonly podCidr: string
  readonly dnsAddress: string
}

export type AddonFiles = Readonly<Record<string, string>>

/** Where the output of `helm template` is kept in a bundle. */
export const RENDERED_CHART = '.rendered-chart.yaml'
/** The fingerprint of the parameters that it was rendered with. */
export const CHART_PARAMETERS = '.rendered-chart.parameters'
const OBJECTS_MAX = 500

export interface RenderInput {
  readonly definition: AddonDefinition
  readonly files: AddonFiles
  readonly parameters: ParameterValues
  readonly facts: ClusterFacts
}

/** Throws `config/invalid` naming the file. */
export function renderManifests(input: RenderInput): KubeObject[] {
  const { definition, files } = input
  const sources = definition.manifests.filter(({ when }) => isWanted(when, input.parameters))
  const objects = sources.flatMap(({ file }) => renderFile(input, file))
  const chart = definition.chart === null ? [] : chartObjects(files)
  const all = [...objects, ...chart].map(object => labelled(object, definition.name))
  if (all.length > OBJECTS_MAX) throw bad(definition, `it has more than ${OBJECTS_MAX} objects`)
  return all
}

function isWanted(when: string | undefined, parameters: ParameterValues): boolean {
  if (when === undefined) return true
  const value = parameters[when.replace(/^!/, '')]
  const isSet = Array.isArray(value)
    ? value.length > 0
    : value !== undefined && value !== '' && value !== false
  return isSet !== when.startsWith('!')
}

const bad = ({ name }: AddonDefinition, why: string) =>
  new Mk8sError('config/invalid', `the manifests of ${name} cannot be used`, { why })

function renderFile({ definition, files, parameters, facts }: RenderInput, file: string): KubeObject[] {
  const text = files[file]
  if (text === undefined) throw bad(definition, `${file} is missing`)
  const values = new Map<string, ParameterValue>([
    ...Object.entries(parameters),
    ...Object.entries(facts).map(([key, value]) => [`mk8s.${key}`, value] as const),
  ])
  try {
    return documentsOf(text).map(document => substitute(document, values) as KubeObject)
  } catch (error) {
    throw bad(definition, `${file}: ${messageOf(error)}`)
  }
}

/** Helm has filled everything in, and `${` means nothing there. */
function chartObjects(files: AddonFiles): KubeObject[] {
  return documentsOf(files[RENDERED_CHART] ?? '')
}

function documentsOf(text: string): KubeObject[] {
  const documents = parseYamlDocuments(text).filter(document => document !== null && document !== undefined)
  return documents.flatMap(document => {
    const object = document as KubeObject & { items?: KubeObject[] }
    if (object.kind === 'List' && Array.isArray(object.items)) return object.items
    const isObject = typeof object.apiVersion === 'string' && typeof object.kind === 'string'
    if (!isObject || typeof object.metadata?.name !== 'string')
      throw new Error('a document without apiVersion, kind and metadata.name')
    return [object]
  })
}

/** The same in values that are no manifests. */
export function fillIn(value: unknown, parameters: ParameterValues): unknown {
  return substitute(value, new Map(Object.entries(parameters)))
}

function substitute(value: unknown, values: ReadonlyMap<string, ParameterValue>): unknown {
  if (typeof value === 'string') return fill(value, values)
  if (Array.isArray(value)) return value.map(item => substitute(item, values))
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) setKey(copy, key, substitute(inner, values))
  return copy
}

const REFERENCE = /\$(\$?)\{([^{}]*)\}/g

function fill(text: string, values: ReadonlyMap<string, ParameterValue>): unknown {
  const alone = /^\$\{([^{}:]*)\}$/.exec(text)
  if (alone !== null) return lookUp(alone[1] ?? '', values)
  return text.replace(REFERENCE, (found, escaped: string, name: string) => {
    if (escaped !== '') return found.slice(1)
    return textOf(lookUp(name.replace(/:text$/, ''), values))
  })
}

const textOf = (value: ParameterValue): string => (Array.isArray(value) ? value.join(',') : String(value))

function lookUp(name: string, values: ReadonlyMap<string, ParameterValue>): ParameterValue {
  const value = values.get(name)
  if (value === undefined) throw new Error(`\${${name}} is no parameter of this add-on`)
  return value
}

function labelled(object: KubeObject, name: string): KubeObject {
  const { metadata } = object
  const labels = { ...metadata.labels, 'app.kubernetes.io/managed-by': 'mk8s', [NAME_LABEL]: name }
  return { ...object, metadata: { ...metadata, labels } }
}

/** The same files in any spelling of their parameters: nothing is missing and everything parses. */
export function checkManifests(input: Omit<RenderInput, 'parameters'>): void {
  const { definition, files } = input
  const samples = definition.parameters.map(({ name, type, default: preset, values }) => {
    const sample: Record<typeof type, ParameterValue> = {
      ...{ string: 'x', integer: 1, boolean: true, quantity: '1Gi', list: ['x'], enum: values?.[0] ?? '' },
    }
    return [name, preset ?? sample[type]] as const
  })
  const parameters = Object.fromEntries(samples)
  for (const { file } of definition.manifests)
    renderFile({ definition, files, parameters, facts: input.facts }, file)
}
