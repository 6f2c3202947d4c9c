/** `mk8s helm …`: the helm on PATH, with the cluster's kubeconfig. Everything behind the name is its own. */

import { targetKubeconfig } from '../cli/cluster-target.ts'
import { becomeProgram } from '../cli/pass-through.ts'
import { ClusterCommand } from './base-command.ts'

export class Helm extends ClusterCommand {
  static override summary = 'Run helm on this cluster.'
  static override description =
    'Everything behind the name goes to helm as it is; flags of mk8s stand before it: mk8s --data-dir DIR helm …'
  static override strict = false

  async run(): Promise<number> {
    const { flags, argv } = await this.parse(Helm)
    return becomeProgram('helm', argv as string[], await targetKubeconfig(flags))
  }
}
