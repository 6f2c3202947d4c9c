/** `mk8s daemon`: the node's process itself, in the foreground. For supervisors; people use `mk8s start`. */
import { NodeCommand } from './base-command.ts'

export class Daemon extends NodeCommand {
  static override summary = 'Run the daemon in the foreground.'
  static override hidden = true

  async run(): Promise<number> {
    const { flags } = await this.parse(Daemon)
    const { runDaemon } = await import('../runtime/daemon.ts')
    return runDaemon({ dataDir: flags['data-dir'] })
  }
}
