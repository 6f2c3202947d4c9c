/** `kind: ClusterConfig` in the store: written once by the first start of a new cluster, read by every later one. */
import { Mk8sError } from '../base/errors.ts'
import type { ClusterConfig } from '../config/node-config.ts'
import type { Store } from './store/store.ts'

export const CONFIG_KEY = '/mk8s/config'
const FIRST_START_KEY = '/mk8s/first-start'
const API_VERSION = 'mk8s.io/v1'
/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1
/** What clusters have that are older than the setting. */
const ABSENT = { voters: 3, failover: 'normal' } as const

/** False for a cluster that begins, and for a member that has not heard of it yet. */
export const hasClusterConfig = (store: Store): boolean => store.get(CONFIG_KEY) !== null

/** The cluster's configuration: what the store holds, or `initial()` written there when the cluster is new. */
export async function settleClusterConfig(
  store: Store,
  initial: () => ClusterConfig,
): Promise<ClusterConfig> {
  const found = store.get(CONFIG_KEY)
  if (found !== null) return clusterConfigIn(found.value)
  const config = initial()
  const value = encode({ apiVersion: API_VERSION, kind: 'ClusterConfig', ...config })
  const written = await store.transact({
    compares: [{ key: CONFIG_KEY, target: 'mod-revision', equals: 0 }],
    operations: [{ type: 'put', key: CONFIG_KEY, value }],
  })
  if (written.succeeded) return config
  return settleClusterConfig(store, initial)
}

/** The configuration in a value of the store. */
export const clusterConfigIn = (value: Buffer): ClusterConfig => ({
  ...ABSENT,
  ...(decode(value) as unknown as ClusterConfig),
})

/** Whether the manifests that were given at install have still to be applied. */
export const isFirstStart = (store: Store): boolean => store.get(FIRST_START_KEY) === null

/** Remembers that they have been. */
export async function recordFirstStart(store: Store): Promise<void> {
  const operations = [{ type: 'put', key: FIRST_START_KEY, value: encode({ done: true }) }] as const
  await store.transact({ compares: [], operations })
}

function encode(value: object): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(value))])
}

function decode(value: Buffer): Record<string, unknown> {
  if (value[0] !== FORMAT_PLAIN) {
    throw new Mk8sError('store/version', `the cluster's configuration has the unknown format ${value[0]}`)
  }
  return JSON.parse(value.toString('utf8', 1)) as Record<string, unknown>
}
