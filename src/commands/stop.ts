/** `mk8s stop`: ends the workloads and the daemon. */
import { Flags } from '@oclif/core'
import { print, printJson } from '../cli/terminal.ts'
import { stopNode } from '../client/lifecycle.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { lifecycleOf, mustBeRoot, NodeCommand } from './base-command.ts'

export class Stop extends NodeCommand {
  static override summary = 'Stop the node: its workloads and its daemon.'

  static override flags = {
    shutdown: Flags.boolean({
      summary:
        'End pods as when the machine is shut down: by priority, within shutdownGracePeriod, and for good.',
    }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Stop)
    mustBeRoot('stop')
    mustBeInstalled(flags['data-dir'])
    const stopped = await stopNode(await lifecycleOf(flags['data-dir']), {
      workloads: true,
      isShutdown: flags.shutdown,
    })
    if (flags.json) printJson({ stopped })
    else print(stopped ? 'mk8s is stopped.' : 'mk8s was not running.')
    return 0
  }
}

/** A damaged configuration is no reason to leave the node running. */
function mustBeInstalled(dataDir: string): void {
  try {
    readNodeConfig(dataDir)
  } catch (error) {
    if ((error as { code?: string }).code === 'node/not-installed') throw error
  }
}
