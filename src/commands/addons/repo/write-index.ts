/** `mk8s addons repo index`: writes the index of a directory of add-ons, and signs it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as Args from '@oclif/core/args'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { Flags } from '../../../cli/flags.ts'
import { print } from '../../../cli/terminal.ts'
import { NodeCommand } from '../../base-command.ts'

export class AddonsRepoIndex extends NodeCommand {
  static override summary = 'Write the index of a directory of add-ons, and sign it.'
  static override description =
    'For whoever makes a repository. Each directory below it that has an addon.yaml is an add-on; see docs/addons.md.'
  static override examples = [
    'openssl genpkey -algorithm ed25519 -out team.key && openssl pkey -in team.key -pubout -out team.pub',
    '<%= config.bin %> addons repo index ./addons --private-key team.key',
  ]
  static override args = { directory: Args.string({ description: 'Of the repository.', required: true }) }
  static override flags = {
    'private-key': Flags.string({ description: 'The Ed25519 key (PEM) to sign with.', helpValue: 'FILE' }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(AddonsRepoIndex)
    const [{ readDirectory }, index] = await Promise.all([
      import('../read-repository.ts'),
      import('../../../runtime/addons/repository-index.ts'),
    ])
    const files = readDirectory(args.directory)
    const text = index.renderIndex(files)
    const whole = new Map([...files, [index.INDEX_FILE, Buffer.from(text)]])
    const sources = index.readRepositoryFiles(whole, { publicKey: '', allowUnsigned: true })
    writeFileSync(join(args.directory, index.INDEX_FILE), text)
    const key = flags['private-key']
    if (key !== undefined)
      writeFileSync(join(args.directory, index.SIGNATURE_FILE), signed(index.signIndex, text, key))
    print(`${index.INDEX_FILE}: ${sources.length} add-ons${key === undefined ? ', not signed' : ', signed'}`)
    return 0
  }
}

function signed(sign: (text: string, key: string) => string, text: string, file: string): string {
  try {
    return sign(text, readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Mk8sError('config/unreadable', `cannot sign with ${file}`, {
      why: messageOf(error),
      cause: error,
    })
  }
}
