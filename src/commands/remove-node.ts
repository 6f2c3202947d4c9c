/** `mk8s remove-node NAME`: takes another node out of the cluster, alive or dead. */
import * as Args from '@oclif/core/args'
import { Mk8sError } from '../base/errors.ts'
import { Flags } from '../cli/flags.ts'
import { print, printJson } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { nodePaths } from '../host/node-files.ts'
import { mustBeRoot, NodeCommand } from './base-command.ts'
import { drainFlag, removalNotes } from './leave.ts'

export class RemoveNode extends NodeCommand {
  static override summary = 'Take another node out of the cluster.'
  static override description =
    'Its pods move to other nodes, it hands over its role in the datastore, and its Node and its membership are ' +
    'removed; a daemon that still runs there says so and stays down. It is refused when the only living copy of the ' +
    'datastore would go, or too few voters would be left. Interrupted, it can be run again.'
  static override examples = [
    'sudo <%= config.bin %> remove-node n3',
    'sudo <%= config.bin %> remove-node n3 --force',
  ]
  static override args = {
    name: Args.string({ description: 'The name of the node.', required: true }),
  }
  static override flags = {
    force: Flags.boolean({
      description: 'Delete its pods at once, without heeding disruption budgets or waiting for them to end.',
    }),
    'drain-timeout': drainFlag,
  }

  async run(): Promise<number> {
    const { flags, args } = await this.parse(RemoveNode)
    mustBeRoot('remove-node')
    const { nodeName } = readNodeConfig(flags['data-dir'])
    if (args.name === nodeName)
      throw new Mk8sError('refused', `${nodeName} is this node itself`, { hint: 'mk8s leave' })
    const client = createAdminClient(nodePaths(flags['data-dir']).adminSocket)
    const { name } = args
    const drainMs = flags['drain-timeout'] * 1_000
    const outcome = await client.removeNode({ name, force: flags.force, drainMs })
    if (flags.json) printJson(outcome)
    else if (outcome.removed)
      print([`${name} is not in the cluster any more.`, ...removalNotes(outcome)].join('\n'))
    else print(`There is no node ${name} in the cluster: mk8s kubectl get nodes lists them.`)
    return 0
  }
}
