/** `mk8s kubectl …`: the kubectl on PATH, with the cluster's kubeconfig. Everything behind the name is its own. */

import { targetKubeconfig } from '../cli/cluster-target.ts'
import { becomeProgram } from '../cli/pass-through.ts'
import { ClusterCommand } from './base-command.ts'

export class Kubectl extends ClusterCommand {
  static override summary = 'Run kubectl on this cluster.'
  static override description =
    'Everything behind the name goes to kubectl as it is; flags of mk8s stand before it: mk8s --data-dir DIR kubectl …'
  static override strict = false

  async run(): Promise<number> {
    const { flags, argv } = await this.parse(Kubectl)
    return becomeProgram('kubectl', argv as string[], await targetKubeconfig(flags))
  }
}
