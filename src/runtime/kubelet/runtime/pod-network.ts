/** The network configuration that every pod of a node gets unless somebody gives the node another one (pure). */

/** In the directory of configurations; one whose name comes before it takes its place. */
export const POD_NETWORK_FILE = '10-mk8s.conflist'

export interface PodNetworkOptions {
  /** Where addresses that are in use are noted. */
  readonly ipam: string
  /** One of each family. */
  readonly podCidrs: readonly string[]
  /** What pods may send at once; the kernel's own choice when it is not known. */
  readonly mtu: number | null
  /** The plugin that limits a pod's bandwidth is installed. */
  readonly hasBandwidth: boolean
}

/** A routed pair of interfaces per pod: no bridge, so that all traffic of pods passes the host's rules. */
export function renderPodNetwork({ ipam, podCidrs, mtu, hasBandwidth }: PodNetworkOptions): string {
  const conflist = {
    cniVersion: '1.0.0',
    name: 'mk8s',
    plugins: [
      {
        type: 'ptp',
        ipMasq: false,
        ...(mtu === null ? {} : { mtu }),
        ipam: {
          type: 'host-local',
          dataDir: ipam,
          ranges: podCidrs.map(subnet => [{ subnet }]),
          routes: podCidrs.map(range => ({ dst: range.includes(':') ? '::/0' : '0.0.0.0/0' })),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
      ...(hasBandwidth ? [{ type: 'bandwidth', capabilities: { bandwidth: true } }] : []),
    ],
  }
  return `${JSON.stringify(conflist, null, 2)}\n`
}

const CONFIG_NAME = /\.(conflist|conf|json)$/

/** The first by name is used, as containerd does it; undefined when there is none. */
export const chosenNetworkFile = (names: readonly string[]): string | undefined =>
  names.filter(name => CONFIG_NAME.test(name)).sort()[0]
