/**
 * A server's certificates: put right before each start, then kept alive while it runs. The authorities lie beside
 * them, so a server asks nobody.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Problem } from '../client/node-status.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { readIfThere, writeFileDurably } from '../host/files.ts'
import { nodePaths } from '../host/node-files.ts'
import { updateKubeconfig } from './pki/kubeconfig.ts'
import { LiveCertificates } from './pki/live-pki.ts'
import { adminKubeconfig, peerPartsOf, pkiPartsOf } from './pki/node-facts.ts'
import { ensurePeerCertificate, ensurePki, loadPki, type Pki } from './pki/pki.ts'
import { type CertificateRenewal, certificateProblems, createCertificateRenewal } from './pki/renewal.ts'

export interface CertificateParts {
  readonly config: NodeConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** For the links to the other members: all that can be put right before the cluster's configuration is known. */
export async function loadCertificates(parts: CertificateParts): Promise<LiveCertificates<Pki>> {
  const { config, log } = parts
  await ensurePeerCertificate(peerPartsOf(config, parts)).catch(error =>
    log.error('the certificate for the other members could not be renewed', { error }),
  )
  return new LiveCertificates(await loadPki(nodePaths(config.dataDir).pki))
}

export interface ServerCertificates {
  /** Renews daily; `mk8s refresh-certs` asks it, too. */
  readonly renewal: CertificateRenewal
  /** For `mk8s status`. */
  problems(): Promise<readonly Problem[]>
}

/** Certificates that are due, or lack an address, are renewed before this resolves: listeners start with good ones. */
export async function buildCertificates(
  parts: CertificateParts & {
    readonly cluster: ClusterConfig
    readonly live: LiveCertificates<Pki>
    /** Brings authorities and shared keys to where the cluster is with them; the names of what changed. */
    readonly applyRotation: () => Promise<readonly string[]>
  },
): Promise<ServerCertificates> {
  const { config, cluster, live, clock } = parts
  const directory = nodePaths(config.dataDir).pki
  const log = parts.log.child({ component: 'certificates' })
  const renewal = createCertificateRenewal<Pki>({
    live,
    async renew(forced) {
      const others = await parts.applyRotation()
      const { created, renewed } = await ensurePki({ ...pkiPartsOf(config, cluster, parts), renew: forced })
      return [...created, ...renewed, ...others]
    },
    load: () => loadPki(directory),
    onRenewed: pki => writeKubeconfig(config, pki),
    clock,
    log,
  })
  await renewal
    .renewNow()
    .catch(error => log.error('certificates could not be renewed before the start', { error }))
  writeKubeconfig(config, live.current)
  return { renewal, problems: () => certificateProblems(directory, clock.now()) }
}

/** The file keeps what its user changed in it, such as further servers. */
function writeKubeconfig(config: NodeConfig, { authorities, leaves }: Pki): void {
  const { kubeconfig } = nodePaths(config.dataDir)
  const identity = { authority: authorities['cluster-ca'].certificate, ...leaves.admin }
  const present = readIfThere(kubeconfig)
  const next = present === undefined ? adminKubeconfig(config, identity) : updateKubeconfig(present, identity)
  if (next !== present) writeFileDurably(kubeconfig, next, 0o600)
}
