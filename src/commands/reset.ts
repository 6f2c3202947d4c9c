/** `mk8s reset`: an empty cluster with the same settings. */
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError } from '../base/errors.ts'
import { confirm, print, printJson } from '../cli/terminal.ts'
import { startNode, stopNode, waitForStart } from '../client/lifecycle.ts'
import { clusterInitPath, readNodeConfig } from '../config/config-files.ts'
import { readKnownMembers } from '../config/known-members.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { diskFailure } from '../host/files.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag, yesFlag } from './base-command.ts'

/**
 * What the cluster made; configuration, certificates and keys stay. The datastore goes last: without it and with the
 * others, after an interruption, the node would look as if it had lost it.
 */
const STATE = ['pods', 'containers', 'logs', 'datastore']

export class Reset extends NodeCommand {
  static override summary = 'Delete everything in the cluster; keep its settings and certificates.'
  static override description =
    'Only for a cluster of one server. A node of several leaves its cluster instead: mk8s leave.'
  static override flags = {
    yes: yesFlag,
    timeout: timeoutFlag('How long to wait until the node is Ready again.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Reset)
    mustBeRoot('reset')
    const config = readNodeConfig(flags['data-dir'])
    refuseInCluster(config)
    const { dataDir, nodeName } = config
    await confirm(`Delete everything in the cluster of ${dataDir}?`, flags)
    const parts = await lifecycleOf(dataDir)
    await stopNode(parts, { workloads: true })
    for (const name of STATE) remove(join(dataDir, name))
    const started = await startNode(parts)
    await waitForStart(parts, { started, timeoutMs: flags.timeout * 1000 })
    if (flags.json) printJson({ reset: true })
    else print(`The cluster is empty: the node ${nodeName} is Ready.`)
    return 0
  }
}

/**
 * A server of several that came back empty under its old name would break the promises that it has given to the
 * others; and a node that joined never had what a cluster begins with.
 */
function refuseInCluster({ dataDir, nodeName, role }: NodeConfig): void {
  const others = readKnownMembers(dataDir).filter(name => name !== nodeName)
  if (role === 'server' && others.length === 0 && existsSync(clusterInitPath(dataDir))) return
  const why =
    others.length > 0 ? `the cluster has other servers: ${others.join(', ')}` : 'it has joined a cluster'
  throw new Mk8sError('refused', `${nodeName} cannot be emptied by itself`, {
    why,
    hint: 'mk8s leave takes it out of the cluster and clears it; then mk8s install, or mk8s join',
  })
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch (error) {
    throw diskFailure(path, error)
  }
}
