/** `mk8s credential`: what kubectl calls for the certificate and key that `mk8s config --keychain` keeps. */
import { Args } from '@oclif/core'
import { systemClock } from '../base/clock.ts'
import type { KeptParts } from '../cli/kept-credential.ts'
import { keptParts } from '../cli/kept-parts.ts'
import type { ClientIdentity, ClusterEntry } from '../cli/kubeconfig.ts'
import { printJson, remark } from '../cli/terminal.ts'
import { NodeCommand } from './base-command.ts'

export class Credential extends NodeCommand {
  static override summary = 'Hand a kept certificate and key to kubectl, as its exec plugin.'
  static override description =
    'For kubectl and other clients, which call it by the kubeconfig of mk8s config --keychain. Its output is a ' +
    'private key. A file under a passphrase is opened with the variable MK8S_PASSPHRASE, or with what is typed on ' +
    'the terminal. In the last third of its life the certificate is renewed by the cluster.'
  static override args = {
    name: Args.string({ description: 'Its name, as in the kubeconfig.', required: true }),
  }

  async run(): Promise<number> {
    const { args } = await this.parse(Credential)
    const { execCredential, readCredential } = await import('../cli/kept-credential.ts')
    const parts = await keptParts()
    let typed: string | undefined
    const ask = async (question: string) => {
      typed ??= await parts.ask(question)
      return typed
    }
    const identity = await readCredential(args.name, { ...parts, ask })
    const passphrase = parts.passphrase ?? typed
    printJson(execCredential(await renewed(args.name, identity, { ...parts, passphrase })))
    return 0
  }
}

/** Only clients that say which cluster they speak to get a new one. */
async function renewed(name: string, identity: ClientIdentity, parts: KeptParts): Promise<ClientIdentity> {
  const cluster = clusterOfClient(process.env['KUBERNETES_EXEC_INFO'])
  if (cluster === undefined) return identity
  const { renewedIdentity } = await import('../cli/renew-credential.ts')
  return renewedIdentity(name, identity, cluster, {
    ...parts,
    clock: systemClock,
    warn: remark,
  })
}

/** Out of what an exec plugin is told by its client. */
function clusterOfClient(info: string | undefined): ClusterEntry | undefined {
  if (info === undefined || info === '') return undefined
  try {
    const { spec } = JSON.parse(info) as { spec?: { cluster?: Partial<ClusterEntry['cluster']> } }
    const { server, 'certificate-authority-data': authority } = spec?.cluster ?? {}
    if (server === undefined || authority === undefined) return undefined
    return { name: 'cluster', cluster: { server, 'certificate-authority-data': authority } }
  } catch {
    return undefined
  }
}
