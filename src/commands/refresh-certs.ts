/** `mk8s refresh-certs`: shows and renews the certificates of a node. */
import { systemClock } from '../base/clock.ts'
import { AUTHORITY_ADVICE, AUTHORITY_QUESTION, renderDates } from '../cli/certificates-view.ts'
import { Flags } from '../cli/flags.ts'
import { confirm, print, printJson, remark } from '../cli/terminal.ts'
import { type AdminClient, createAdminClient } from '../client/admin-client.ts'
import { startNode, stopNode, waitForStart } from '../client/lifecycle.ts'
import { readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import { LEAVES, WORKER_LEAVES } from '../runtime/pki/authorities.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, timeoutFlag, yesFlag } from './base-command.ts'

/** Named as in MicroK8s. */
const leavesOf: Readonly<Record<string, readonly string[]>> = {
  'server.crt': ['apiserver', 'kubelet'],
  'front-proxy-client.crt': ['front-proxy-client'],
}
const AUTHORITY = 'ca.crt'

interface RefreshFlags {
  readonly json: boolean
  readonly yes: boolean
  readonly timeout: number
  readonly cert?: string | undefined
}

export class RefreshCerts extends NodeCommand {
  static override summary = "Show or renew this node's certificates."
  static override description =
    'The daemon renews certificates by itself, months before they end. This renews them now, without a restart. ' +
    'With --cert ca.crt the authority of a cluster of one node is replaced; what it signed stays valid for a week, ' +
    'so that kubeconfigs can be renewed, and the daemon is started again. An interrupted run is finished by the next.'
  static override examples = [
    '<%= config.bin %> refresh-certs --check',
    '<%= config.bin %> refresh-certs',
    '<%= config.bin %> refresh-certs --cert ca.crt',
  ]
  static override flags = {
    check: Flags.boolean({ char: 'c', description: 'Show from when to when certificates are valid.' }),
    cert: Flags.string({
      char: 'e',
      description: 'Renew only this one.',
      options: [AUTHORITY, ...Object.keys(leavesOf)],
    }),
    'drop-earlier': Flags.boolean({
      description: 'Trust the authority that was replaced no more.',
      exclusive: ['check', 'cert'],
    }),
    yes: yesFlag,
    timeout: timeoutFlag('How long to wait until the node is Ready again, when it has to be started again.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(RefreshCerts)
    mustBeRoot('refresh-certs')
    const config = readNodeConfig(flags['data-dir'])
    if (flags.check) return check(config, flags)
    const admin = createAdminClient(nodePaths(config.dataDir).adminSocket)
    if (flags['drop-earlier']) return dropEarlier(config, admin, flags)
    if (flags.cert === AUTHORITY) return replaceAuthority(config, admin, flags)
    const all = config.role === 'worker' ? WORKER_LEAVES : LEAVES
    const renewed = await admin.renewCertificates(leavesOf[flags.cert ?? ''] ?? all)
    if (flags.json) printJson({ renewed })
    else print(`Renewed and in use: ${[...renewed].sort().join(', ')}.`)
    return 0
  }
}

async function check({ dataDir }: NodeConfig, { json }: RefreshFlags): Promise<number> {
  const { readCertificateDates } = await import('../runtime/pki/dates.ts')
  const dates = await readCertificateDates(nodePaths(dataDir).pki)
  const iso = (ms: number) => new Date(ms).toISOString()
  if (json)
    printJson(
      dates.map(({ name, startMs, endMs }) => ({ name, notBefore: iso(startMs), notAfter: iso(endMs) })),
    )
  else print(renderDates(dates, systemClock.now()))
  return 0
}

async function replaceAuthority(
  config: NodeConfig,
  admin: AdminClient,
  flags: RefreshFlags,
): Promise<number> {
  if (!flags.json && !flags.yes) remark(AUTHORITY_ADVICE)
  await confirm(AUTHORITY_QUESTION, flags)
  await admin.replaceAuthority()
  await restart(config, flags)
  if (flags.json) printJson({ replaced: true })
  else print(`The cluster has a new authority, and ${config.nodeName} is Ready.\n${AUTHORITY_ADVICE}`)
  return 0
}

async function dropEarlier(config: NodeConfig, admin: AdminClient, flags: RefreshFlags): Promise<number> {
  const dropped = await admin.dropEarlierAuthority()
  if (dropped) await restart(config, flags)
  if (flags.json) printJson({ dropped })
  else print(dropped ? 'The earlier authority is not trusted any more.' : 'There is no earlier authority.')
  return 0
}

async function restart({ dataDir }: NodeConfig, { timeout }: RefreshFlags): Promise<void> {
  const parts = await lifecycleOf(dataDir)
  await stopNode(parts, { workloads: false })
  const started = await startNode(parts)
  await waitForStart(parts, { started, timeoutMs: timeout * 1000 })
}
