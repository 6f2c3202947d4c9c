/** The steps of `mk8s disable`. */
import { systemClock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { runSteps } from '../../cli/progress.ts'
import { ADDON_API_VERSION, ADDONS, type Addon } from '../../runtime/addons/addon-object.ts'
import { type Catalog, dependents, findAddon, readAddonWord } from '../../runtime/addons/catalog.ts'
import type { AddonCluster } from './cluster.ts'
import { waitForAddon } from './wait-for-addon.ts'

export interface DisableOptions {
  readonly purge: boolean
  readonly wait: boolean
  readonly timeoutMs: number
  readonly quiet: boolean
}

export interface DisableOutcome {
  readonly name: string
  readonly changed: boolean
  readonly sentence: string
  readonly warning: string
}

export async function disableAddons(
  cluster: AddonCluster,
  words: readonly string[],
  options: DisableOptions,
): Promise<DisableOutcome[]> {
  if (words.length === 0)
    throw new Mk8sError('usage', 'no add-on is named', { hint: 'mk8s addons list shows them' })
  const catalog = await cluster.catalog()
  const addons = await cluster.addons()
  const names = words.map(word => findAddon(catalog, readAddonWord(word)).source.definition.name)
  for (const name of names) refuseWhereNeeded(catalog, name, { addons, names })
  const outcomes: DisableOutcome[] = []
  const steps = names.map(name => ({
    title: `Disable ${name}`,
    async run() {
      const before = addons.find(({ metadata }) => metadata.name === name) ?? null
      outcomes.push(await disableOne(cluster, catalog, before, { ...options, name }))
    },
  }))
  await runSteps(steps, { quiet: options.quiet })
  return outcomes
}

function refuseWhereNeeded(
  catalog: Catalog,
  name: string,
  { addons, names }: { readonly addons: readonly Addon[]; readonly names: readonly string[] },
): void {
  const definition = findAddon(catalog, { repository: null, name }).source.definition
  if (definition.always !== '')
    throw new Mk8sError('refused', `${name} cannot be disabled`, { why: definition.always })
  const needing = dependents(catalog, name, addons).filter(other => !names.includes(other))
  if (needing.length === 0) return
  throw new Mk8sError('refused', `${name} is needed`, {
    why: `${needing.join(', ')} ${needing.length === 1 ? 'is' : 'are'} enabled and need${needing.length === 1 ? 's' : ''} it`,
    hint: `mk8s disable ${needing.join(' ')} ${name}`,
  })
}

async function disableOne(
  cluster: AddonCluster,
  catalog: Catalog,
  before: Addon | null,
  options: DisableOptions & { readonly name: string },
): Promise<DisableOutcome> {
  const { name, purge } = options
  const { repository, source } = findAddon(catalog, { repository: null, name })
  const full = `${repository}/${name}`
  const isOff = before === null ? !source.definition.default : before.spec?.enabled === false
  const isDone = isOff && (!purge || before === null || before.spec?.purge === true)
  if (!isDone) await write(cluster, name, { purge, before })
  if (options.wait && !(isDone && before === null)) {
    const read = () => cluster.addon(name)
    await waitForAddon(name, { read, phase: 'Disabled', timeoutMs: options.timeoutMs, clock: systemClock })
  }
  const how = purge ? 'disabled and its data removed' : 'disabled'
  return {
    name,
    changed: !isDone,
    sentence: isDone ? `Addon ${full} is already disabled` : `Addon ${full} is ${how}`,
    warning: isDone ? '' : source.definition.warning,
  }
}

async function write(
  { client }: AddonCluster,
  name: string,
  { purge, before }: { readonly purge: boolean; readonly before: Addon | null },
): Promise<void> {
  // Who removes the data begins anew.
  const spec = { enabled: false, purge, ...(purge ? { parameters: null } : {}) }
  if (before !== null) {
    await client.patch(ADDONS, { name, type: 'merge', patch: { spec } })
    return
  }
  await client.create(ADDONS, {
    apiVersion: ADDON_API_VERSION,
    kind: 'Addon',
    metadata: { name },
    spec: { enabled: false, purge },
  })
}
