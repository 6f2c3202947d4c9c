/** The way of the commands about add-ons into the cluster: what there is to enable, and what is enabled. */
import { sleepAlive, systemClock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { type TargetFlags, targetOf } from '../../cli/cluster-target.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { CONFIG_MAPS } from '../../client/resources.ts'
import { isNotFound } from '../../client/status-errors.ts'
import type { Transport } from '../../client/transport.ts'
import type { ConfigMap } from '../../kube/types.ts'
import { ADDONS, type Addon, CORE_REPOSITORY } from '../../runtime/addons/addon-object.ts'
import { builtInAddons } from '../../runtime/addons/built-in.ts'
import { BUNDLE_NAMESPACE, readBundle } from '../../runtime/addons/bundle.ts'
import type { Catalog } from '../../runtime/addons/catalog.ts'
import { openAdministrator } from '../administrator.ts'
import { repositoryEntries } from './repositories.ts'

const KEPT_MS_MAX = 15_000
const KEPT_PAUSE_MS = 200

export interface AddonCluster {
  readonly client: KubeClient
  readonly transport: Transport
  /** Of the server that is asked, as in a URL. */
  readonly host: string
  catalog(): Promise<Catalog>
  addons(): Promise<readonly Addon[]>
  addon(name: string): Promise<Addon | null>
}

/** `command` is for what is said to somebody who may not. */
export async function withCluster<T>(
  flags: TargetFlags,
  command: string,
  work: (cluster: AddonCluster) => Promise<T>,
): Promise<T> {
  const { transport, host } = await openAdministrator(await targetOf(flags), command)
  try {
    const cluster = clusterOver(transport, host)
    await untilKept(cluster)
    return await work(cluster)
  } finally {
    transport.close()
  }
}

function clusterOver(transport: Transport, host: string): AddonCluster {
  const client = new KubeClient(transport, { userAgent: 'mk8s/addons' })
  return {
    client,
    transport,
    host,
    async catalog() {
      const [kept, addons] = await Promise.all([repositoryEntries(client), this.addons()])
      const builtIn = Array.from(builtInAddons().values(), source => ({
        repository: CORE_REPOSITORY,
        source,
      }))
      const known = [...builtIn, ...kept]
      return [...known, ...(await orphans(client, addons, known))]
    },
    async addons() {
      try {
        return (await client.list<Addon>(ADDONS)).items
      } catch (error) {
        if (isNotFound(error)) throw notYet()
        throw error
      }
    },
    async addon(name) {
      try {
        return await client.get<Addon>(ADDONS, { name })
      } catch (error) {
        if (isNotFound(error)) return null
        throw error
      }
    },
  }
}

/** What is enabled although its repository was forgotten can still be changed and disabled. */
async function orphans(client: KubeClient, addons: readonly Addon[], known: Catalog): Promise<Catalog> {
  const names = new Set(known.map(({ source }) => source.definition.name))
  const lost = addons.filter(
    ({ metadata, spec }) => !names.has(metadata.name ?? '') && spec?.bundle !== undefined,
  )
  const entries = lost.map(async ({ spec }) => {
    const options = { namespace: BUNDLE_NAMESPACE, name: spec?.bundle ?? '' }
    try {
      const source = readBundle(await client.get<ConfigMap>(CONFIG_MAPS, options))
      return [{ repository: spec?.repository ?? '', source }]
    } catch (error) {
      if (isNotFound(error)) return []
      throw error
    }
  })
  return (await Promise.all(entries)).flat()
}

/** In a new cluster the leader makes the resource within a second. */
async function untilKept(cluster: AddonCluster): Promise<void> {
  const untilMs = systemClock.monotonic() + KEPT_MS_MAX
  for (;;) {
    try {
      await cluster.addons()
      return
    } catch (error) {
      const isEarly = error instanceof Mk8sError && error.code === 'node/not-ready'
      if (!isEarly || systemClock.monotonic() > untilMs) throw error
    }
    await sleepAlive(systemClock, KEPT_PAUSE_MS)
  }
}

const notYet = (): Mk8sError =>
  new Mk8sError('node/not-ready', 'the cluster does not keep add-ons yet', {
    why: 'its leader makes the resource addons.mk8s.io as soon as it runs this version',
    hint: 'mk8s status',
  })
