/** `mk8s start`: starts the daemon and waits until the node is Ready. */
import { print, printJson } from '../cli/terminal.ts'
import { startNode, waitForStart } from '../client/lifecycle.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag } from './base-command.ts'

export class Start extends NodeCommand {
  static override summary = 'Start the node and wait until it is Ready.'
  static override flags = { timeout: timeoutFlag('How long to wait until the node is Ready.') }

  async run(): Promise<number> {
    const { flags } = await this.parse(Start)
    mustBeRoot('start')
    const { dataDir, nodeName } = readNodeConfig(flags['data-dir'])
    const parts = await lifecycleOf(dataDir)
    const started = await startNode(parts)
    const status = await waitForStart(parts, { started, timeoutMs: flags.timeout * 1000 })
    if (flags.json) printJson({ started, ready: status.ready })
    else print(started ? `mk8s is running: the node ${nodeName} is Ready.` : 'mk8s was running already.')
    return 0
  }
}
