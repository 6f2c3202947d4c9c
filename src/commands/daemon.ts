/** `mk8s daemon`: the node's process itself, in the foreground. For supervisors; people use `mk8s start`. */
import { Flags } from '../cli/flags.ts'
import { NodeCommand } from './base-command.ts'

export class Daemon extends NodeCommand {
  static override summary = 'Run the daemon in the foreground.'
  static override hidden = true

  static override flags = {
    supervise: Flags.boolean({ description: 'Keep it running, as systemd or a shell does elsewhere.' }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Daemon)
    if (flags.supervise) {
      const { runSupervisor } = await import('../host/supervise.ts')
      return runSupervisor(['--data-dir', flags['data-dir']])
    }
    const { runDaemon } = await import('../runtime/daemon.ts')
    return runDaemon({ dataDir: flags['data-dir'] })
  }
}
