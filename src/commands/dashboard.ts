/** `mk8s dashboard`: where the dashboard is, and a token with which to sign in there. */
import { Flags } from '../cli/flags.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import { ClusterCommand } from './base-command.ts'

export class Dashboard extends ClusterCommand {
  static override summary = 'Print the address of the dashboard, and a link that signs in.'
  static override description =
    'The link signs in once, within ten minutes, at any server; the token is for the field on the page, or for another ' +
    'browser. Both are of an account in the cluster and end after --expires; whoever has them may do what that account may: view (the default) sees everything that the page shows and changes nothing, admin may do ' +
    'everything. The dashboard has to be enabled: mk8s enable dashboard, and for admin with --set admin=true.'
  static override examples = [
    '<%= config.bin %> dashboard',
    '<%= config.bin %> dashboard --role admin --expires 30m',
  ]
  static override flags = {
    role: Flags.string({
      description: 'What its account may do.',
      options: ['view', 'admin'],
      default: 'view',
    }),
    expires: Flags.string({
      description: 'How long the token is good, as in 30m or 8h; from 10m to 24h.',
      helpValue: 'SPAN',
      default: '1h',
    }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Dashboard)
    const [{ secondsIn }, { makeDashboardLink }] = await Promise.all([
      import('../cli/duration.ts'),
      import('./addons/dashboard-link.ts'),
    ])
    const link = await makeDashboardLink(flags, {
      role: flags.role === 'admin' ? 'admin' : 'view',
      seconds: secondsIn(flags.expires, '--expires'),
    })
    if (flags.json) printJson(link)
    else {
      print(`address  ${link.url}\nlink     ${link.link}\ntoken    ${link.token}`)
      remark(
        `The link is good once, the token until ${link.expiresAt}. Browsers warn unless they trust the cluster's authority.`,
      )
    }
    return 0
  }
}
