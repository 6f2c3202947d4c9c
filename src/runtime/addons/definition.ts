/** What an addon.yaml says, checked. Pure: a problem is a sentence with the path, what is wrong, and what would do. */

import { Mk8sError, messageOf } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import { parseYaml } from '../../kube/yaml.ts'
import type { Parameter } from './parameter.ts'
import { parameterTypes, problemOf } from './parameter.ts'

export interface ManifestSource {
  /** Relative to the add-on's directory. */
  readonly file: string
  /** Only if this parameter is set: neither empty nor false; with `!` in front: only if it is not. */
  readonly when?: string
}

export interface ChartSource {
  /** A directory or a .tgz, relative to the add-on's directory. */
  readonly path: string
  readonly namespace: string
  readonly release: string
  /** Values of the chart; may name parameters, as manifests do. */
  readonly values: Readonly<Record<string, unknown>>
}

/** An object of the add-on by kind, and by name where one is given. */
export interface ObjectPattern {
  readonly kind: string
  readonly namespace?: string
  readonly name?: string
}

export interface ReadinessRule extends ObjectPattern {
  readonly apiVersion: string
  readonly name: string
  /** A condition of its status that has to be True; absent: it only has to be there. */
  readonly condition?: string
}

export interface AddonDefinition {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly aliases: readonly string[]
  /** On in a new cluster; of built-in ones only. */
  readonly default: boolean
  /** A sentence about what cannot be switched off. */
  readonly always: string
  /** Which parameter `enable NAME:ARGUMENT` sets. */
  readonly argument: string
  readonly parameters: readonly Parameter[]
  readonly dependencies: readonly string[]
  /** As `linux/amd64`; empty: all. */
  readonly platforms: readonly string[]
  /** Container runtimes of nodes that will do; empty: all. */
  readonly runtimes: readonly string[]
  readonly images: readonly string[]
  readonly manifests: readonly ManifestSource[]
  readonly chart: ChartSource | null
  readonly readiness: readonly ReadinessRule[]
  /** What `disable` without `--purge` leaves where it is. */
  readonly keep: readonly ObjectPattern[]
  readonly parts: readonly string[]
  /** Said after `enable`, and before `disable`. */
  readonly notes: string
  readonly warning: string
}

type Fields = Readonly<Record<string, unknown>>
type Check = (value: unknown, path: string, problems: string[]) => void

const NAME = /^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$/
const VERSION = /^\d+\.\d+(\.\d+)?([-+][0-9A-Za-z.+-]+)?$/
const ITEMS_MAX = 200
const TEXT_MAX = 4_096

/** Throws `config/invalid` with every problem. `file` is for messages. */
export function parseDefinition(source: string, file = 'addon.yaml'): AddonDefinition {
  let value: unknown
  try {
    value = parseYaml(source)
  } catch (error) {
    throw new Mk8sError('config/invalid', `${file} is not YAML`, { why: messageOf(error), cause: error })
  }
  const problems: string[] = []
  checkRecord(FIELDS, ['name', 'version', 'description'])(value, '', problems)
  if (problems.length === 0) problems.push(...crossProblems(value as Fields))
  if (problems.length === 0) return withDefaults(value as Fields)
  throw new Mk8sError('config/invalid', `${file} is not a valid definition of an add-on`, {
    why: problems.join('\n'),
    hint: 'correct it; docs/addons.md has every field',
  })
}

const NONE: AddonDefinition = {
  ...{ name: '', version: '', description: '', aliases: [], default: false, always: '', argument: '' },
  ...{
    parameters: [],
    dependencies: [],
    platforms: [],
    runtimes: [],
    images: [],
    manifests: [],
    chart: null,
  },
  ...{ readiness: [], keep: [], parts: [], notes: '', warning: '' },
}

function withDefaults(fields: Fields): AddonDefinition {
  const given = { ...NONE, ...fields } as AddonDefinition
  const chart = given.chart
  return {
    ...given,
    parameters: given.parameters.map(parameter => ({
      ...parameter,
      description: parameter.description ?? '',
    })),
    manifests: given.manifests.map(source => (typeof source === 'string' ? { file: source } : source)),
    chart: chart && {
      ...chart,
      namespace: chart.namespace ?? given.name,
      release: chart.release ?? given.name,
      values: chart.values ?? {},
    },
  }
}

/** What no field alone can tell. */
function crossProblems(fields: Fields): string[] {
  const definition = withDefaults(fields)
  const names = definition.parameters.map(({ name }) => name)
  const twice = names.filter((name, at) => names.indexOf(name) !== at)
  const unknown = (path: string, name: string) =>
    names.includes(name) || name === '' ? [] : [`${path}: there is no parameter ${name}`]
  return [
    ...twice.map(name => `parameters: ${name} is there twice`),
    ...unknown('argument', definition.argument),
    ...definition.manifests.flatMap(({ when = '' }, at) =>
      unknown(`manifests[${at}].when`, when.replace(/^!/, '')),
    ),
    ...definition.parameters.flatMap((parameter, at) => {
      if (parameter.type === 'enum' && (parameter.values ?? []).length === 0)
        return [`parameters[${at}].values: an enum needs its values`]
      if (parameter.default === undefined) return []
      const problem = problemOf(parameter, parameter.default)
      return problem === null ? [] : [`parameters[${at}].default: ${problem}`]
    }),
  ]
}

// ── fields ───────────────────────────────────────────────────────────────────────────────────────────

const checkText =
  (pattern?: RegExp, wanted = 'a text'): Check =>
  (value, path, problems) => {
    if (typeof value !== 'string' || value.length > TEXT_MAX) problems.push(`${path}: has to be ${wanted}`)
    else if (pattern !== undefined && !pattern.test(value))
      problems.push(`${path}: ${JSON.stringify(value)} has to be ${wanted}`)
  }

const checkType =
  (type: 'boolean' | 'number'): Check =>
  (value, path, problems) => {
    if (typeof value !== type) problems.push(`${path}: has to be a ${type}`)
  }

const checkOneOf =
  (values: readonly string[]): Check =>
  (value, path, problems) => {
    if (!values.includes(value as string))
      problems.push(`${path}: ${JSON.stringify(value)} has to be one of ${values.join(', ')}`)
  }

const checkList =
  (item: Check): Check =>
  (value, path, problems) => {
    if (!Array.isArray(value)) problems.push(`${path}: has to be a list`)
    else if (value.length > ITEMS_MAX) problems.push(`${path}: has more than ${ITEMS_MAX} items`)
    else for (const [at, each] of value.entries()) item(each, `${path}[${at}]`, problems)
  }

function checkRecord(fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, path, problems) => {
    if (!isRecord(value)) {
      problems.push(`${path === '' ? 'the file' : path}: has to be a map`)
      return
    }
    const under = (key: string) => (path === '' ? key : `${path}.${key}`)
    for (const key of required) if (value[key] === undefined) problems.push(`${under(key)}: is missing`)
    for (const [key, each] of Object.entries(value)) {
      const check = Object.hasOwn(fields, key) ? fields[key] : undefined
      const near = nearest(key, Object.keys(fields))
      if (check !== undefined) check(each, under(key), problems)
      else problems.push(`${under(key)}: is unknown${near === undefined ? '' : `; did you mean ${near}?`}`)
    }
  }
}

const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const anyValue: Check = () => {}
const name = checkText(NAME, 'a name of small letters, digits and hyphens')
/** Stays inside the add-on's directory. */
const path = checkText(/^(?!.*(^|\/)\.\.(\/|$))[^/\0].*$/, "a path inside the add-on's directory")

const PARAMETER = checkRecord(
  {
    name,
    type: checkOneOf(parameterTypes),
    description: checkText(),
    default: anyValue,
    values: checkList(checkText()),
    pattern: checkPattern,
    minimum: checkType('number'),
    maximum: checkType('number'),
  },
  ['name', 'type'],
)

function checkPattern(value: unknown, path: string, problems: string[]): void {
  try {
    new RegExp(String(value), 'v')
  } catch {
    problems.push(`${path}: ${JSON.stringify(value)} has to be a regular expression`)
  }
}

const MANIFEST = checkRecord({ file: path, when: checkText() }, ['file'])
const PATTERN = { kind: checkText(), namespace: checkText(), name: checkText() }

const FIELDS: Readonly<Record<string, Check>> = {
  apiVersion: checkOneOf(['addons.mk8s.io/v1']),
  kind: checkOneOf(['AddonDefinition']),
  name,
  version: checkText(VERSION, 'a version such as 1.2.0 (in quotes)'),
  description: checkText(),
  aliases: checkList(name),
  default: checkType('boolean'),
  always: checkText(),
  argument: name,
  parameters: checkList(PARAMETER),
  dependencies: checkList(name),
  platforms: checkList(checkText(/^[a-z0-9]+\/[a-z0-9]+$/, 'a platform such as linux/amd64')),
  runtimes: checkList(checkOneOf(['oci', 'containerd', 'process', 'simulated'])),
  images: checkList(checkText(/^[^\s]+$/, 'the name of an image')),
  manifests: checkList((value, at, problems) =>
    typeof value === 'string' ? path(value, at, problems) : MANIFEST(value, at, problems),
  ),
  chart: checkRecord({ path, namespace: name, release: name, values: anyValue }, ['path']),
  readiness: checkList(
    checkRecord({ ...PATTERN, apiVersion: checkText(), condition: checkText() }, [
      'apiVersion',
      'kind',
      'name',
    ]),
  ),
  keep: checkList(checkRecord(PATTERN, ['kind'])),
  parts: checkList(name),
  notes: checkText(),
  warning: checkText(),
}
