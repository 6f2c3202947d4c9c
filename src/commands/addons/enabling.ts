/** The steps of `mk8s enable`: everything is checked before anything is written. */
import { readFileSync } from 'node:fs'
import { systemClock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { type ProgressStep, runSteps } from '../../cli/progress.ts'
import { remark } from '../../cli/terminal.ts'
import { parseYaml } from '../../kube/yaml.ts'
import {
  ADDON_API_VERSION,
  ADDONS,
  type Addon,
  type AddonSpec,
  type ParameterValues,
} from '../../runtime/addons/addon-object.ts'
import type { AddonSource } from '../../runtime/addons/bundle.ts'
import {
  type Catalog,
  type CatalogEntry,
  findAddon,
  readAddonWord,
  withDependencies,
} from '../../runtime/addons/catalog.ts'
import { completeParameters, readArgument, readWords } from '../../runtime/addons/parameters.ts'
import { fingerprintOf } from '../../runtime/addons/plan-objects.ts'
import { keepBundle } from '../../runtime/addons/reconciler.ts'
import { checkNodes } from './check-nodes.ts'
import type { AddonCluster } from './cluster.ts'
import { isOutdated } from './describe-addons.ts'
import { withRenderedChart } from './render-chart.ts'
import { waitForAddon } from './wait-for-addon.ts'

export interface EnableOptions {
  readonly set: readonly string[]
  readonly valuesFile: string | null
  readonly wait: boolean
  readonly timeoutMs: number
  readonly checkImages: boolean
  readonly quiet: boolean
}

export interface EnableOutcome {
  readonly name: string
  readonly version: string
  readonly changed: boolean
  readonly sentence: string
  readonly notes: string
}

/** One add-on that is to be enabled, with all it takes. */
interface Intent {
  readonly entry: CatalogEntry
  readonly given: ParameterValues
  readonly isNamed: boolean
}

interface Prepared {
  readonly source: AddonSource
  readonly repository: string
  readonly parameters: ParameterValues
  readonly before: Addon | null
  /** Enabled already and only needed by another one: it stays as it is. */
  readonly isLeft: boolean
}

export async function enableAddons(
  cluster: AddonCluster,
  words: readonly string[],
  options: EnableOptions,
): Promise<EnableOutcome[]> {
  if (words.length === 0)
    throw new Mk8sError('usage', 'no add-on is named', { hint: 'mk8s addons list shows them' })
  const catalog = await cluster.catalog()
  const intents = planIntents(catalog, words, givenBy(options, words))
  const prepared: Prepared[] = []
  const outcomes: EnableOutcome[] = []
  const steps: ProgressStep[] = [
    {
      title: 'Check parameters, platforms and images',
      async run() {
        for (const intent of intents) prepared.push(await prepare(cluster, intent))
        await checkNodes(
          cluster,
          prepared.map(({ source }) => source),
          options,
        )
      },
    },
    ...intents.map(({ entry: { source } }) => ({
      title: `Enable ${source.definition.name}`,
      async run() {
        const found = prepared.find(one => one.source.definition.name === source.definition.name)
        if (found === undefined) return
        const outcome = await carryOut(cluster, found, options)
        if (!found.isLeft) outcomes.push(outcome)
      },
    })),
  ]
  await runSteps(steps, { quiet: options.quiet })
  return outcomes
}

/** Those that are named, or all that are outdated. */
export async function upgradeAddons(
  cluster: AddonCluster,
  words: readonly string[],
  options: EnableOptions,
): Promise<EnableOutcome[]> {
  const [catalog, addons] = await Promise.all([cluster.catalog(), cluster.addons()])
  const enabled = addons.filter(({ spec }) => spec?.enabled !== false)
  const named = words.map(word => findAddon(catalog, readAddonWord(word)).source.definition.name)
  const off = named.find(name => !enabled.some(({ metadata }) => metadata.name === name))
  if (off !== undefined)
    throw new Mk8sError('refused', `${off} is not enabled`, { hint: `mk8s enable ${off}` })
  const outdated = catalog.filter(({ repository, source }) => {
    const addon = enabled.find(({ metadata }) => metadata.name === source.definition.name)
    return addon?.spec?.repository === repository && isOutdated(source, addon)
  })
  const wanted = outdated
    .map(({ repository, source }) => ({ name: source.definition.name, repository }))
    .filter(({ name }) => named.length === 0 || named.includes(name))
  if (wanted.length === 0) return []
  return enableAddons(
    cluster,
    wanted.map(({ name, repository }) => `${repository}/${name}`),
    options,
  )
}

// ── what is given ────────────────────────────────────────────────────────────────────────────────────

interface Given {
  readonly words: readonly string[]
  readonly values: Readonly<Record<string, unknown>>
}

/** By name; `*` is the only one that is named. */
function givenBy({ set, valuesFile }: EnableOptions, words: readonly string[]) {
  const values = valuesFile === null ? {} : readValues(valuesFile)
  const isOne = words.length === 1
  return (name: string): Given => {
    if (isOne) return { words: set, values }
    const prefix = `${name}.`
    const own = set.filter(word => word.startsWith(prefix)).map(word => word.slice(prefix.length))
    return { words: own, values: (values[name] ?? {}) as Record<string, unknown> }
  }
}

function readValues(file: string): Record<string, unknown> {
  try {
    const value = parseYaml(readFileSync(file, 'utf8')) ?? {}
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new Mk8sError('config/unreadable', `cannot read ${file}`, { why: messageOf(error), cause: error })
  }
  throw new Mk8sError('config/invalid', `${file} is no map of parameters`)
}

function planIntents(catalog: Catalog, words: readonly string[], given: (name: string) => Given): Intent[] {
  const intents = new Map<string, Intent>()
  const named = words.map(word => {
    const read = readAddonWord(word)
    const entry = findAddon(catalog, read)
    const { definition } = entry.source
    const own = given(read.name)
    const values = {
      ...readArgument(definition, read.argument),
      ...(own.values as ParameterValues),
      ...readWords(definition, own.words),
    }
    return { entry, given: values, isNamed: true }
  })
  for (const intent of named) {
    for (const entry of withDependencies(catalog, intent.entry)) {
      const { name } = entry.source.definition
      const own = named.find(one => one.entry === entry)
      if (own !== undefined) intents.set(name, own)
      else if (!intents.has(name)) intents.set(name, { entry, given: {}, isNamed: false })
    }
  }
  return [...intents.values()]
}

// ── one add-on ───────────────────────────────────────────────────────────────────────────────────────

/** What was given earlier stays unless it is given anew. */
async function prepare(cluster: AddonCluster, { entry, given, isNamed }: Intent): Promise<Prepared> {
  const { name } = entry.source.definition
  const before = await cluster.addon(name)
  const { definition } = entry.source
  const known = definition.parameters.map(parameter => parameter.name)
  const earlier = Object.entries(before?.spec?.parameters ?? {}).filter(([key]) => known.includes(key))
  const parameters = { ...Object.fromEntries(earlier), ...given }
  const complete = completeParameters(definition, parameters)
  const isLeft = !isNamed && before !== null && before.spec?.enabled !== false
  const source = isLeft ? entry.source : await withRenderedChart(entry.source, complete)
  return { source, repository: entry.repository, parameters, before, isLeft }
}

async function carryOut(
  cluster: AddonCluster,
  prepared: Prepared,
  options: EnableOptions,
): Promise<EnableOutcome> {
  const { source, repository, before } = prepared
  const { name, version, always, notes } = source.definition
  const isOn = before !== null && before.spec?.enabled !== false
  if (always !== '') return { name, version, changed: false, sentence: always, notes: '' }
  const isSame = prepared.isLeft || !(await writeIfOther(cluster, prepared))
  if (options.wait) {
    await waitForAddon(name, {
      read: () => cluster.addon(name),
      phase: 'Ready',
      timeoutMs: options.timeoutMs,
      clock: systemClock,
      ...(options.quiet || process.stderr.isTTY ? {} : { onProgress: text => remark(`  ${text}`) }),
    })
  }
  const full = `${repository}/${name}`
  const sentence = isSame
    ? `Addon ${full} is already enabled`
    : `Addon ${full} is ${isOn ? 'changed' : 'enabled'}${options.wait ? ' and ready' : ''}`
  // What nodes have to say although everything works.
  const said = options.wait ? ((await cluster.addon(name))?.status?.message ?? '') : ''
  const told = said === '' ? sentence : `${sentence}\n  ${said}`
  return { name, version, changed: !isSame, sentence: told, notes: isSame ? '' : notes }
}

/** True: it was another one. */
async function writeIfOther(cluster: AddonCluster, prepared: Prepared): Promise<boolean> {
  const { source, repository, parameters, before } = prepared
  const { name, version } = source.definition
  const bundle = await keepBundle(cluster.client, source)
  const isSame =
    before !== null &&
    before.spec?.enabled !== false &&
    before.spec?.bundle === bundle &&
    fingerprintOf(before.spec.parameters ?? {}) === fingerprintOf(parameters)
  if (isSame) return false
  await write(cluster, name, { enabled: true, repository, version, bundle, parameters }, before)
  return true
}

async function write(
  { client }: AddonCluster,
  name: string,
  spec: AddonSpec,
  before: Addon | null,
): Promise<void> {
  if (before === null) {
    const addon: Addon = { apiVersion: ADDON_API_VERSION, kind: 'Addon', metadata: { name }, spec }
    await client.create(ADDONS, addon)
    return
  }
  const patch = [{ op: 'add', path: '/spec', value: spec }]
  await client.patch(ADDONS, { name, type: 'json', patch })
}
