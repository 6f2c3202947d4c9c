/** `mk8s leave`: takes this node out of its cluster and clears away what it had of it. */
import { EXIT_OK, Mk8sError } from '../base/errors.ts'
import { Flags } from '../cli/flags.ts'
import { runSteps } from '../cli/progress.ts'
import { confirm, print, printJson } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { stopNode } from '../client/lifecycle.ts'
import type { RemovalOutcome } from '../client/node-removal.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { nodePaths, readFailure } from '../host/node-files.ts'
import { removeNodeDirectory } from '../host/remove.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, yesFlag } from './base-command.ts'

const DRAIN_S = 60

export const drainFlag = Flags.integer({
  description: 'How long its pods may take to leave it, as their disruption budgets allow.',
  default: DRAIN_S,
  min: 0,
  max: 3_600,
  helpValue: 'SECONDS',
})

/** What a person should know of how the pods went. */
export function removalNotes({ evicted, forced }: RemovalOutcome): readonly string[] {
  const some = (count: number) => (count === 1 ? '1 pod was' : `${count} pods were`)
  return [
    ...(evicted > 0 ? [`${some(evicted)} evicted.`] : []),
    ...(forced.length > 0
      ? [`${some(forced.length)} deleted without waiting any longer: ${forced.join(', ')}`]
      : []),
  ]
}

export class Leave extends NodeCommand {
  static override summary = 'Take this node out of its cluster.'
  static override description =
    'Its pods move to other nodes, it hands over leadership and its role in the datastore, and its Node and its ' +
    "membership are removed. Then the daemon ends, and the node's directory is deleted as `mk8s uninstall` does: the " +
    'cluster has everything that was in its copy of the datastore. It is refused on the last server, whose copy is ' +
    'the only one, and when too few voters would be left. Interrupted, it can be run again.'
  static override examples = ['sudo <%= config.bin %> leave', 'sudo <%= config.bin %> leave --yes']
  static override flags = {
    yes: yesFlag,
    force: Flags.boolean({
      description: 'Delete its pods at once, without heeding disruption budgets or waiting for them to end.',
    }),
    'drain-timeout': drainFlag,
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Leave)
    mustBeRoot('leave')
    const { dataDir, nodeName } = readNodeConfig(flags['data-dir'])
    await confirm(`Take ${nodeName} out of its cluster, and delete ${dataDir}?`, flags)
    let outcome: RemovalOutcome | undefined
    const drainMs = flags['drain-timeout'] * 1_000
    const steps = [
      {
        title: 'Moving pods and role to other nodes',
        run: async () => {
          outcome = await leaveCluster(dataDir, { force: flags.force, drainMs })
        },
      },
      { title: 'Clearing this machine', run: () => clearMachine(dataDir) },
    ]
    await runSteps(steps, { quiet: flags.json })
    if (flags.json) printJson({ left: true, node: nodeName, removedDirectory: dataDir, ...outcome })
    else print(farewell(nodeName, dataDir, outcome))
    return EXIT_OK
  }
}

function farewell(nodeName: string, dataDir: string, outcome: RemovalOutcome | undefined): string {
  return [
    `${nodeName} has left the cluster; ${dataDir} is deleted.`,
    ...(outcome === undefined ? [] : removalNotes(outcome)),
    'To join again: mk8s add-node on a server, and what it prints here. For a cluster of its own: mk8s install.',
  ].join('\n')
}

/** Undefined when it had left already and only this machine is left to be cleared. */
async function leaveCluster(
  dataDir: string,
  request: { readonly force: boolean; readonly drainMs: number },
): Promise<RemovalOutcome | undefined> {
  try {
    return await createAdminClient(nodePaths(dataDir).adminSocket).removeNode(request)
  } catch (error) {
    const isDown = error instanceof Mk8sError && error.code === 'node/not-running'
    if (isDown && readFailure(dataDir)?.code === 'node/removed') return undefined
    if (isDown) throw notRunning(error)
    throw error
  }
}

async function clearMachine(dataDir: string): Promise<void> {
  const parts = await lifecycleOf(dataDir)
  await stopNode(parts, { workloads: true })
  await parts.forgetContainers()
  await parts.service.remove()
  removeNodeDirectory(dataDir)
}

const notRunning = (cause: Error): Mk8sError =>
  new Mk8sError('node/not-running', 'the node cannot leave while its daemon does not run', {
    hint: 'mk8s start; or mk8s remove-node on another server, and then mk8s uninstall here',
    cause,
  })
