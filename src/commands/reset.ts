/** `mk8s reset`: an empty cluster with the same settings. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { confirm, print, printJson } from '../cli/terminal.ts'
import { startNode, stopNode, waitForStart } from '../client/lifecycle.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { diskFailure } from '../host/files.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag, yesFlag } from './base-command.ts'

/**
 * What the cluster made; configuration, certificates and keys stay. The datastore goes last: without it and with the
 * others, after an interruption, the node would look as if it had lost it.
 */
const STATE = ['pods', 'containers', 'logs', 'datastore']

export class Reset extends NodeCommand {
  static override summary = 'Delete everything in the cluster; keep its settings and certificates.'
  static override flags = {
    yes: yesFlag,
    timeout: timeoutFlag('How long to wait until the node is Ready again.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Reset)
    mustBeRoot('reset')
    const { dataDir, nodeName } = readNodeConfig(flags['data-dir'])
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

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch (error) {
    throw diskFailure(path, error)
  }
}
