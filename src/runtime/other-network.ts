/** Whether somebody gave this node a network configuration that takes the place of mk8s' own. */
import { readdirSync } from 'node:fs'
import type { NodeConfig } from '../config/node-config.ts'
import { containerdPaths } from './kubelet/runtime/cri/containerd-config.ts'
import { ociPaths } from './kubelet/runtime/oci/oci-paths.ts'
import { chosenNetworkFile, POD_NETWORK_FILE } from './kubelet/runtime/pod-network.ts'

/** Its file's name; empty while pods get mk8s' own network. */
export function otherNetwork({ dataDir, runtime }: Pick<NodeConfig, 'dataDir' | 'runtime'>): string {
  const { cniConfig } = runtime === 'oci' ? ociPaths(dataDir) : containerdPaths(dataDir)
  const chosen = chosenNetworkFile(namesIn(cniConfig)) ?? POD_NETWORK_FILE
  return chosen === POD_NETWORK_FILE ? '' : chosen
}

/** None while the directory is not there yet. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
