/** The way of a command into the API of its own server, as the cluster's administrator. */
import { bracketed } from '../base/bracketed.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import { loadPki } from '../runtime/pki/pki.ts'

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
