/** Builds what a node runs of add-ons: the driver, and the parts that it may start. */

import { join } from 'node:path'
import { Informer } from '../client/informer.ts'
import { KubeClient } from '../client/kube-client.ts'
import { ADDONS, type Addon } from './addons/addon-object.ts'
import { dashboardPart } from './addons/dashboard/dashboard.ts'
import { gpuPart } from './addons/gpu/gpu.ts'
import { hostAccessPart } from './addons/host-access/host-access.ts'
import { ingressPart } from './addons/ingress/ingress.ts'
import { loadBalancerPart } from './addons/loadbalancer/announcer.ts'
import type { Part } from './addons/part.ts'
import { createPartDriver } from './addons/part-driver.ts'
import { registryPart } from './addons/registry/registry.ts'
import type { ClusterDns } from './dns/dns.ts'
import type { NodeParts } from './node-parts.ts'

/** What this node has anyway and a part switches on and off. */
interface OwnParts {
  readonly dns: ClusterDns | null
}

/** Parts that are the same on every node. A new one is a line here. */
const PARTS: readonly Part[] = [hostAccessPart, ingressPart, loadBalancerPart(), registryPart]

export function buildAddonParts(
  { config, cluster, transports, isServer, ownApi, clock, random, log }: NodeParts,
  own: OwnParts,
) {
  const addonLog = log.child({ component: 'addon-parts' })
  const client = new KubeClient(transports.kubelet, { userAgent: 'mk8s/addon-parts' })
  return createPartDriver({
    parts: [
      ...[...PARTS, dnsPart(own.dns), dashboardPart(ownApi)],
      gpuPart({ root: '/', devicePlugins: join(config.dataDir, 'device-plugins') }),
    ],
    addons: new Informer<Addon>({ client, resource: ADDONS, clock, random, log: addonLog }),
    client,
    context: {
      ...{ nodeName: config.nodeName, nodeAddress: config.bindAddress, runtime: config.runtime },
      ...{ isServer, cluster, clock, random },
    },
    directory: join(config.dataDir, 'addons'),
    ...{ clock, log: addonLog },
  })
}

/** Which servers are asked is told by a ConfigMap, so no parameter starts it anew. */
function dnsPart(dns: ClusterDns | null): Part {
  return {
    name: 'dns',
    isDefault: true,
    heeds: [],
    async start() {
      dns?.resume()
      return { health: () => dns?.health() ?? { ok: true, reason: '' }, stop: async () => dns?.suspend() }
    },
  }
}
