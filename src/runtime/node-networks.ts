/** What the add-on `multus` says to a node's kubelet, and where the node has its network configurations. */
import { isNotFound, KubeClient } from '../client/kube-client.ts'
import type { Transport } from '../client/transport.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { ADDONS, type Addon, isEnabled } from './addons/addon-object.ts'
import type { NetworksConfig } from './kubelet/kubelet-parts.ts'
import type { NetworkSettings } from './kubelet/networks/plan-networks.ts'
import { containerdPaths } from './kubelet/runtime/cri/containerd-config.ts'
import { ociPaths } from './kubelet/runtime/oci/oci-paths.ts'

const ADDON = 'multus'
/** Of a containerd that somebody else runs. */
const SYSTEM_CONFIGS = '/etc/cni/net.d'
/** As in the add-on's definition, and Multus' own. */
const DEFAULTS: NetworkSettings = { namespaceIsolation: false, globalNamespaces: ['default'] }

export function nodeNetworks(
  { dataDir, runtime, criSocket }: Pick<NodeConfig, 'dataDir' | 'runtime' | 'criSocket'>,
  transport: Transport,
): NetworksConfig {
  const client = new KubeClient(transport, { userAgent: 'mk8s/networks' })
  const ownConfigs = (runtime === 'oci' ? ociPaths(dataDir) : containerdPaths(dataDir)).cniConfig
  const isForeign = runtime === 'containerd' && criSocket !== ''
  return { settings: () => readSettings(client), configs: isForeign ? SYSTEM_CONFIGS : ownConfigs }
}

/** Asked for each pod that asks for networks, which are few, so that what was just enabled holds. */
async function readSettings(client: KubeClient): Promise<NetworkSettings | null> {
  try {
    const addon = await client.get<Addon>(ADDONS, { name: ADDON })
    return isEnabled(addon) ? settingsOf(addon) : null
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}

export function settingsOf({ spec }: Pick<Addon, 'spec'>): NetworkSettings {
  const { 'namespace-isolation': isolation, 'global-namespaces': namespaces } = spec?.parameters ?? {}
  return {
    namespaceIsolation: isolation === undefined ? DEFAULTS.namespaceIsolation : isolation === true,
    globalNamespaces: Array.isArray(namespaces) ? namespaces : DEFAULTS.globalNamespaces,
  }
}
