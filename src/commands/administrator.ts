/** The way of a command into the API, as the cluster's administrator: of its own server, or of a cluster elsewhere. */
import { bracketed } from '../base/bracketed.ts'
import { Mk8sError } from '../base/errors.ts'
import { type ClusterTarget, openTarget } from '../cli/cluster-target.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import { readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import { loadPki } from '../runtime/pki/pki.ts'
import { mustBeRoot } from './base-command.ts'

/** To be closed by the caller. */
export async function administratorOf({ dataDir, bindAddress, ports }: NodeConfig): Promise<HttpsTransport> {
  const { authorities, leaves } = await loadPki(nodePaths(dataDir).pki)
  return new HttpsTransport({
    server: `https://${bracketed(bindAddress)}:${ports.api}`,
    caPem: authorities['cluster-ca'].certificate,
    certificatePem: leaves.admin.certificate,
    keyPem: leaves.admin.key,
  })
}

export interface Administrator {
  readonly transport: HttpsTransport
  /** Of the server that is asked, as in a URL. */
  readonly host: string
}

/** `command` is for what is said to somebody who may not. To be closed by the caller. */
export async function openAdministrator(
  { dataDir, cluster }: ClusterTarget,
  command: string,
): Promise<Administrator> {
  if (cluster !== undefined) {
    const { transport, server } = await openTarget(cluster)
    return { transport, host: server.hostname }
  }
  mustBeRoot(command)
  const config = readNodeConfig(dataDir)
  if (config.role !== 'server')
    throw new Mk8sError('refused', 'a worker has no credentials of an administrator', {
      hint: `run mk8s ${command} on a server of the cluster`,
    })
  return { transport: await administratorOf(config), host: bracketed(config.bindAddress) }
}
