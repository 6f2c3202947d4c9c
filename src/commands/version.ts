/** `mk8s version`: which mk8s this is and which Kubernetes it speaks. */
import { print, printJson } from '../cli/terminal.ts'
import { GIT_VERSION, MK8S_VERSION, versionLine } from '../config/version.ts'
import { NodeCommand } from './base-command.ts'

export class Version extends NodeCommand {
  static override summary = 'Show the version.'

  async run(): Promise<number> {
    const { flags } = await this.parse(Version)
    const { platform, arch, version } = process
    if (flags.json) printJson({ mk8s: MK8S_VERSION, kubernetes: GIT_VERSION, node: version, platform, arch })
    else print(versionLine)
    return 0
  }
}
