/** Ends and removes what a node runs and keeps outside its daemon, whichever its runtime, when the daemon is gone. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { unmountBelow } from '../host/mounts.ts'
import { instanceName } from '../host/node-files.ts'
import { system } from '../host/system.ts'
import { endNetworks } from './kubelet/networks/networks-record.ts'
import { endContainerd } from './kubelet/runtime/cri/end-containerd.ts'
import { endPods } from './kubelet/runtime/cri/end-pods.ts'
import { removePodCgroup } from './kubelet/runtime/cri/pod-cgroups.ts'
import { endKept } from './kubelet/runtime/kept/kept-runtime.ts'
import { endOci } from './kubelet/runtime/oci/end-oci.ts'
import { killAllContainers } from './kubelet/runtime/process/process-runtime.ts'
import { removeLoopbackAddresses } from './network/loopback-address.ts'
import { removeNftables } from './network/nft-table.ts'
import { removeNodeRoutes } from './network/node-routes.ts'
import { removePortmapChains } from './network/portmap-chains.ts'

/** Ends every container. With `forgets` also what would be needed to start them again. */
export async function endNodeContainers(
  dataDir: string,
  { clock, forgets }: { readonly clock: Clock; readonly forgets: boolean },
): Promise<void> {
  const processes = join(dataDir, 'containers')
  if (existsSync(processes)) await (system === 'linux' ? killAllContainers(processes) : endKept(processes))
  if (system !== 'linux') return
  const nodeId = instanceName(dataDir)
  const pods = join(dataDir, 'pods')
  await endNetworks(join(dataDir, 'networks'))
  await endContainerd({ dataDir, nodeId, sharedDirectories: [pods], clock })
  await endOci({ dataDir, nodeId, forgets, clock })
  await unmountBelow([pods])
  await removePodCgroup(`/${nodeId}`)
  const config = configIfReadable(dataDir)
  if (config?.runtime !== 'containerd' && config?.runtime !== 'oci') return
  const socketPath = config.criSocket
  if (config.runtime === 'containerd' && socketPath !== '' && existsSync(socketPath))
    await endPods({ socketPath, nodeId, removes: forgets })
  await removePodCgroup(`/${nodeId}`)
  await removeNftables(nodeId)
  await removeNodeRoutes()
  await removeLoopbackAddresses()
  if (forgets) await removePortmapChains()
}

/** A damaged configuration is no reason to leave containers running. */
function configIfReadable(dataDir: string): NodeConfig | undefined {
  try {
    return readNodeConfig(dataDir)
  } catch {
    return undefined
  }
}
