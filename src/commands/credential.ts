/** `mk8s credential`: what kubectl calls for the certificate and key that `mk8s config --keychain` keeps. */
import { Args } from '@oclif/core'
import { keptParts } from '../cli/kept-parts.ts'
import { printJson } from '../cli/terminal.ts'
import { NodeCommand } from './base-command.ts'

export class Credential extends NodeCommand {
  static override summary = 'Hand a kept certificate and key to kubectl, as its exec plugin.'
  static override description =
    'For kubectl and other clients, which call it by the kubeconfig of mk8s config --keychain. Its output is a ' +
    'private key. A file under a passphrase is opened with the variable MK8S_PASSPHRASE.'
  static override args = {
    name: Args.string({ description: 'Its name, as in the kubeconfig.', required: true }),
  }

  async run(): Promise<number> {
    const { args } = await this.parse(Credential)
    const { execCredential, readCredential } = await import('../cli/kept-credential.ts')
    printJson(execCredential(await readCredential(args.name, await keptParts())))
    return 0
  }
}
