/** Which cluster a command speaks of: the one that is named, that of the node here, or the one that is used. */
import { existsSync } from 'node:fs'
import { nodeConfigPath } from '../config/config-files.ts'
import { keptParts, userDirectory } from './kept-parts.ts'
import { nodeKubeconfig } from './pass-through.ts'

export interface ClusterTarget {
  readonly dataDir: string
  /** Of `mk8s cluster list`; undefined: that of the node in `dataDir`. */
  readonly cluster: string | undefined
}

/** What `ClusterCommand` reads. */
export interface TargetFlags {
  readonly 'data-dir': string
  readonly cluster?: string | undefined
}

export async function targetOf({ 'data-dir': dataDir, cluster }: TargetFlags): Promise<ClusterTarget> {
  if (cluster !== undefined) return { dataDir, cluster }
  if (existsSync(nodeConfigPath(dataDir))) return { dataDir, cluster: undefined }
  const { usedCluster } = await import('./clusters.ts')
  return { dataDir, cluster: usedCluster(userDirectory()) }
}

/** For kubectl and helm. */
export async function targetKubeconfig(flags: TargetFlags): Promise<string> {
  const { dataDir, cluster } = await targetOf(flags)
  if (cluster === undefined) return nodeKubeconfig(dataDir)
  const { reachableKubeconfig } = await import('./clusters.ts')
  return reachableKubeconfig(cluster, userDirectory())
}

/** The way into a cluster elsewhere. To be closed by the caller. */
export async function openTarget(cluster: string) {
  const { openCluster } = await import('./clusters.ts')
  return openCluster(cluster, await keptParts())
}
