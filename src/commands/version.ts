/** `mk8s version`: which mk8s this is and which Kubernetes it speaks. */
import { print, printJson } from '../cli/terminal.ts'
import { GIT_VERSION, MK8S_VERSION, versionLine } from '../config/version.ts'
import { NodeCommand } from './base-command.ts'

export class Version extends NodeCommand {
  static override summary = 'Show the version.'

  async run(): Promise<number> {
    const { flags } = await this.parse(Version)
    const { platform, arch, version } = process
    if (!flags.json) print(versionLine)
    else {
      const { FORMATS } = await import('../runtime/upgrade/formats.ts')
      const kubernetes = GIT_VERSION
      printJson({ mk8s: MK8S_VERSION, kubernetes, node: version, platform, arch, formats: FORMATS })
    }
    return 0
  }
}
