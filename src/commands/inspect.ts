/** `mk8s inspect`: what is wrong, and a bundle for those who help. */
import { systemClock } from '../base/clock.ts'
import { EXIT_OK } from '../base/errors.ts'
import { Flags } from '../cli/flags.ts'
import { print, printJson } from '../cli/terminal.ts'
import { mustBeRoot, NodeCommand } from './base-command.ts'

const EXIT_BROKEN = 1

export class Inspect extends NodeCommand {
  static override summary = 'Say what is wrong with the node, and make a support bundle.'
  static override description =
    'Works whether the daemon runs or not. The bundle holds the findings, the status, the configuration, the end of ' +
    "the daemon's log, facts about the machine and the main kinds of the cluster, without what Secrets, tokens, " +
    'keys and environment variables hold, and without the contents of ConfigMaps outside the system namespaces. ' +
    'Exit codes: 0 nothing is broken · 1 something is.'
  static override examples = [
    'sudo <%= config.bin %> inspect',
    'sudo <%= config.bin %> inspect --output /tmp/report.tar.gz --format json',
  ]
  static override flags = {
    output: Flags.string({
      char: 'o',
      description: 'The file to write. [default: inspection-report-DATE_TIME.tar.gz in this directory]',
      helpValue: 'FILE',
    }),
    format: Flags.string({
      description: 'How to show the findings.',
      options: ['pretty', 'json'],
      default: 'pretty',
    }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Inspect)
    mustBeRoot('inspect')
    const [{ resolve }, { inspectNode }, { isBroken, renderFindings }] = await Promise.all([
      import('node:path'),
      import('../cli/inspect/inspect.ts'),
      import('../cli/inspect/findings.ts'),
    ])
    const inspection = await inspectNode({
      dataDir: flags['data-dir'],
      output: flags.output,
      clock: systemClock,
    })
    const { findings } = inspection
    const report = resolve(inspection.report)
    const asJson = flags.json || flags.format === 'json'
    if (!asJson) print(renderFindings(findings))
    await inspection.write()
    if (asJson) printJson({ broken: isBroken(findings), report, findings })
    else print(`report: ${report}`)
    return isBroken(findings) ? EXIT_BROKEN : EXIT_OK
  }
}
