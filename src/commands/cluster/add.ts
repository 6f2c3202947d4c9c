/** `mk8s cluster add`: from now on this user manages that cluster from here. */
import * as Args from '@oclif/core/args'
import { Flags } from '../../cli/flags.ts'
import { print } from '../../cli/terminal.ts'
import { NodeCommand } from '../base-command.ts'

export class ClusterAdd extends NodeCommand {
  static override summary = 'Manage a cluster elsewhere from here: mk8s --cluster NAME …'
  static override description =
    'Takes a kubeconfig of that cluster, as mk8s config prints it on one of its servers; with --all-servers there it ' +
    'works as long as one of them does. The private key goes into the keychain, or into an encrypted file where ' +
    'there is none. No node is needed here.'
  static override examples = [
    'ssh root@10.0.0.1 mk8s config --all-servers | <%= config.bin %> cluster add shop --from -',
    '<%= config.bin %> --cluster shop status',
  ]
  static override args = { name: Args.string({ description: 'What to call it.', required: true }) }
  static override flags = {
    from: Flags.string({
      description: 'The kubeconfig, - for the standard input.',
      helpValue: 'FILE',
      required: true,
    }),
    replace: Flags.boolean({ description: 'Also when there is one of that name.' }),
    check: Flags.boolean({
      description: 'Ask the cluster first whether it takes the kubeconfig.',
      default: true,
      allowNo: true,
    }),
    use: Flags.boolean({ description: 'As mk8s cluster use does.' }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(ClusterAdd)
    const [
      { addCluster, checkKubeconfig, useCluster },
      { readGiven },
      { ownProgram },
      { keptParts, remarkPlace },
    ] = await Promise.all([
      import('../../cli/clusters.ts'),
      import('../../cli/read-given.ts'),
      import('../../host/own-program.ts'),
      import('../../cli/kept-parts.ts'),
    ])
    const text = readGiven(flags.from)
    if (flags.check) await checkKubeconfig(text)
    const parts = await keptParts()
    const kept = await addCluster(args.name, text, {
      ...parts,
      program: ownProgram(),
      replace: flags.replace,
    })
    if (flags.use) useCluster(args.name, parts.directory)
    remarkPlace(kept)
    print(`cluster ${args.name} added: mk8s --cluster ${args.name} status`)
    return 0
  }
}
