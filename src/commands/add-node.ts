/** `mk8s add-node`: makes a join token and says how to use it. */
import { readFileSync } from 'node:fs'
import { Mk8sError, messageOf } from '../base/errors.ts'
import { type AddNodeFormat, addNodeFormats, renderAddNode } from '../cli/add-node-view.ts'
import { Flags } from '../cli/flags.ts'
import { hideArguments } from '../cli/join-token.ts'
import { print } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { readNodeConfig } from '../config/config-files.ts'
import { nodePaths } from '../host/node-files.ts'
import { NodeCommand } from './base-command.ts'

const TTL_S_DEFAULT = 24 * 60 * 60

export class AddNode extends NodeCommand {
  static override summary = 'Print the command by which another machine joins this cluster.'
  static override description =
    'Makes a token that is good for one join within a day, unless said otherwise. It is stored as a hash, and a join ' +
    'that fails does not use it up.'
  static override examples = [
    '<%= config.bin %> add-node',
    '<%= config.bin %> add-node --worker --format short',
    '<%= config.bin %> add-node --uses 20 --token-ttl 3600',
  ]
  static override flags = {
    format: Flags.string({ description: 'How to show it.', options: [...addNodeFormats], default: 'pretty' }),
    token: Flags.string({
      char: 't',
      description:
        'A token of your own: at least 32 letters and digits that nobody guesses; @FILE reads it from a file.',
      helpValue: 'TOKEN',
    }),
    'token-ttl': Flags.integer({
      char: 'l',
      description: 'How long the token lives.',
      default: TTL_S_DEFAULT,
      min: 1,
      helpValue: 'SECONDS',
    }),
    uses: Flags.integer({
      description: 'How many joins it is good for; 0 for any number while it lives.',
      default: 1,
      min: 0,
      helpValue: 'N',
    }),
    worker: Flags.boolean({ description: 'The token makes workers only.' }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(AddNode)
    hideArguments('add-node')
    const dataDir = flags['data-dir']
    readNodeConfig(dataDir)
    const answer = await createAdminClient(nodePaths(dataDir).adminSocket).addNode({
      worker: flags.worker,
      uses: flags.uses === 0 ? null : flags.uses,
      ttlSeconds: flags['token-ttl'],
      ...(flags.token !== undefined && { token: readToken(flags.token) }),
    })
    print(renderAddNode(answer, flags.json ? 'json' : (flags.format as AddNodeFormat)))
    return 0
  }
}

function readToken(text: string): string {
  if (!text.startsWith('@')) return text
  try {
    return readFileSync(text.slice(1), 'utf8').trim()
  } catch (error) {
    throw new Mk8sError('usage', `the file ${text.slice(1)} cannot be read`, { why: messageOf(error) })
  }
}
