/** `mk8s addons repo add`: makes the add-ons of a repository known to the cluster. */
import { readFileSync } from 'node:fs'
import * as Args from '@oclif/core/args'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { Flags } from '../../../cli/flags.ts'
import { print, printJson } from '../../../cli/terminal.ts'
import { ClusterCommand } from '../../base-command.ts'

const NAME = /^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/

export class AddonsRepoAdd extends ClusterCommand {
  static override summary = 'Make the add-ons of a repository known to the cluster.'
  static override description =
    'A repository is a directory, a .tar.gz (a file or a URL), or a git URL. Its index has to be signed with the ' +
    'Ed25519 key that --key gives. All of it is checked, and kept in the cluster, so that every server knows it.'
  static override examples = [
    '<%= config.bin %> addons repo add team https://git.example.com/addons.git --key team.pub',
    '<%= config.bin %> addons repo add local ./addons --allow-unsigned',
  ]
  static override args = {
    name: Args.string({ description: 'What to call it.', required: true }),
    source: Args.string({ description: 'Where it is.', required: true }),
  }
  static override flags = {
    key: Flags.string({ description: 'The public key (PEM) of its index.', helpValue: 'FILE' }),
    'allow-unsigned': Flags.boolean({
      description: 'Take it although nobody vouches for it.',
      exclusive: ['key'],
    }),
    reference: Flags.string({
      description: 'A branch, tag or commit of a git URL.',
      default: '',
      helpValue: 'REF',
    }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(AddonsRepoAdd)
    if (!NAME.test(args.name) || args.name === 'core')
      throw new Mk8sError('usage', `${args.name} cannot be the name of a repository`, {
        hint: 'small letters, digits and hyphens; core is the built-in one',
      })
    const { assertSourceThere, wholeSource } = await import('../read-repository.ts')
    const source = wholeSource(args.source)
    assertSourceThere(source)
    if (flags.key === undefined && !flags['allow-unsigned'])
      throw new Mk8sError('refused', 'nobody vouches for this repository', {
        why: 'whoever writes its add-ons may do everything in the cluster, and no key says who that is',
        hint: '--key FILE is the public key that its index is signed with; --allow-unsigned does without',
      })
    const [{ withCluster }, { keepRepository }, { readKey }] = await Promise.all([
      import('../cluster.ts'),
      import('../repositories.ts'),
      import('../../../runtime/addons/repository-index.ts'),
    ])
    const publicKey = flags.key === undefined ? '' : readText(flags.key)
    if (publicKey !== '') readKey(publicKey)
    const repository = { name: args.name, source, reference: flags.reference, publicKey, commit: '' }
    const entries = await withCluster(flags, 'addons repo add', ({ client }) =>
      keepRepository(client, repository, { isNew: true }),
    )
    if (flags.json) printJson(entries)
    else
      print(
        `repository ${args.name} added, with ${entries.map(({ name }) => name).join(', ') || 'no add-ons'}`,
      )
    return 0
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Mk8sError('config/unreadable', `cannot read ${file}`, { why: messageOf(error), cause: error })
  }
}
