/** `mk8s completion`: a script that makes a shell complete mk8s' commands. */
import * as Args from '@oclif/core/args'
import { renderCompletion, SHELLS, type Shell } from '../cli/completion.ts'
import { NodeCommand } from './base-command.ts'

const MAN = 'man'

export class Completion extends NodeCommand {
  static override summary = 'Print a completion script for a shell, or the man page.'
  static override examples = [
    'source <(<%= config.bin %> completion bash)',
    '<%= config.bin %> completion zsh > ~/.zfunc/_mk8s',
    '<%= config.bin %> completion fish > ~/.config/fish/completions/mk8s.fish',
    '<%= config.bin %> completion powershell | Out-String | Invoke-Expression',
  ]
  static override args = {
    shell: Args.string({
      description: `${SHELLS.join(', ')}; or ${MAN}.`,
      options: [...SHELLS, MAN],
      required: true,
    }),
  }

  async run(): Promise<number> {
    const { args } = await this.parse(Completion)
    const { describeCommands } = await import('./describe-commands.ts')
    const commands = await describeCommands()
    if (args.shell === MAN) {
      const { renderManPage } = await import('../cli/man-page.ts')
      process.stdout.write(renderManPage(commands))
    } else process.stdout.write(renderCompletion(args.shell as Shell, commands))
    return 0
  }
}
