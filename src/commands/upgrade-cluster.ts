/** How a command that upgrades a cluster sees it: Nodes through the API, members through the admin socket. */
import { Mk8sError } from '../base/errors.ts'
import { createAdminClient } from '../client/admin-client.ts'
import type { HttpsTransport } from '../client/https-transport.ts'
import { KubeClient } from '../client/kube-client.ts'
import { NODES } from '../client/resources.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import type { Node } from '../kube/types.ts'
import { loadPki } from '../runtime/pki/pki.ts'
import type { RollOutParts } from '../runtime/upgrade/roll-out.ts'
import { ownVersionIn } from '../runtime/upgrade/versions.ts'
import { administratorOf } from './administrator.ts'

/** A member that lacks more entries has not caught up. */
const LAG_MAX = 1_000
const ANSWER_MS_MAX = 10_000

export interface ClusterView extends Pick<RollOutParts, 'pki' | 'nodes' | 'servers'> {
  versions(): Promise<readonly { name: string; version: string }[]>
  close(): void
}

export function clusterView(config: NodeConfig): ClusterView {
  let transport: HttpsTransport | undefined
  const paths = nodePaths(config.dataDir)
  const nodes = async () => {
    transport ??= await administratorOf(config)
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    return (await new KubeClient(transport).list<Node>(NODES, { signal })).items
  }
  return {
    nodes,
    pki: () => loadPki(paths.pki),
    async servers() {
      const { datastore } = await createAdminClient(paths.adminSocket).status()
      if (datastore === null) throw new Mk8sError('refused', 'this node is no server')
      const { members } = datastore
      const well = members.filter(each => each.alive && !each.stopped && (each.lag ?? 0) <= LAG_MAX)
      return {
        all: new Set(members.map(({ name }) => name)),
        well: new Set(datastore.healthy ? well.map(({ name }) => name) : []),
        leader: members.find(({ leader }) => leader)?.name ?? '',
      }
    },
    async versions() {
      return (await nodes()).flatMap(({ metadata, status }) => {
        const version = ownVersionIn(status?.nodeInfo?.kubeletVersion ?? '')
        return version === null ? [] : [{ name: metadata.name ?? '', version }]
      })
    },
    close: () => transport?.close(),
  }
}
