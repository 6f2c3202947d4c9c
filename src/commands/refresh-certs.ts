/** `mk8s refresh-certs`: shows and renews the certificates of a node. */
import { systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import {
  AUTHORITY_ADVICE,
  AUTHORITY_QUESTION,
  renderDates,
  renderRotation,
} from '../cli/certificates-view.ts'
import { Flags } from '../cli/flags.ts'
import { confirm, print, printJson, remark } from '../cli/terminal.ts'
import { type AdminClient, createAdminClient } from '../client/admin-client.ts'
import type { AuthorityRotationStatus } from '../client/authority-rotation.ts'
import { readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import { LEAVES, WORKER_LEAVES } from '../runtime/pki/authorities.ts'
import { mustBeRoot, NodeCommand, timeoutFlag, yesFlag } from './base-command.ts'
import { follow, refreshTokenKey } from './replacing-keys.ts'

/** Named as in MicroK8s. */
const leavesOf: Readonly<Record<string, readonly string[]>> = {
  'server.crt': ['apiserver', 'kubelet'],
  'front-proxy-client.crt': ['front-proxy-client'],
}
const AUTHORITY = 'ca.crt'
const PEER_AUTHORITY = 'peer-ca.crt'
const TOKEN_KEY = 'service-account.key'

interface RefreshFlags {
  readonly 'drop-earlier': boolean
  readonly json: boolean
  readonly yes: boolean
  readonly timeout: number
  readonly cert?: string | undefined
}

export class RefreshCerts extends NodeCommand {
  static override summary = "Show or renew this node's certificates."
  static override description =
    'The daemon renews certificates by itself, months before they end. This renews them now, without a restart. ' +
    'With --cert ca.crt the authority of the cluster is replaced while it runs: every node gets to know the next one, ' +
    'then the next one signs, and what the earlier one signed stays valid for a week, or until --drop-earlier. ' +
    'With --cert service-account.key the key that signs service account tokens is replaced likewise; the earlier one ' +
    'is believed for 30 days, or until --cert service-account.key --drop-earlier, which ends the tokens that it signed. ' +
    'A node that is off is waited for. An interrupted run goes on by itself.'
  static override examples = [
    '<%= config.bin %> refresh-certs --check',
    '<%= config.bin %> refresh-certs',
    '<%= config.bin %> refresh-certs --cert ca.crt',
    '<%= config.bin %> refresh-certs --drop-earlier',
    '<%= config.bin %> refresh-certs --cert service-account.key',
  ]
  static override flags = {
    check: Flags.boolean({ char: 'c', description: 'Show from when to when certificates are valid.' }),
    cert: Flags.string({
      char: 'e',
      description: 'Renew only this one.',
      options: [AUTHORITY, PEER_AUTHORITY, TOKEN_KEY, ...Object.keys(leavesOf)],
    }),
    'drop-earlier': Flags.boolean({
      description: 'Trust the authority, or the key, that was replaced no more.',
      exclusive: ['check'],
    }),
    yes: yesFlag,
    timeout: timeoutFlag('How long to wait for the other nodes, when the authority is replaced.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(RefreshCerts)
    mustBeRoot('refresh-certs')
    const config = readNodeConfig(flags['data-dir'])
    if (flags.check) return check(config, flags)
    const { adminSocket } = nodePaths(config.dataDir)
    const admin = createAdminClient(adminSocket)
    if (flags.cert === TOKEN_KEY) return refreshTokenKey(adminSocket, flags)
    if (flags['drop-earlier']) {
      if (flags.cert !== undefined && flags.cert !== AUTHORITY) throw nothingEarlier(flags.cert)
      return dropEarlier(admin, flags)
    }
    if (flags.cert === PEER_AUTHORITY) throw peerAuthority()
    if (flags.cert === AUTHORITY) return replaceAuthority(admin, flags)
    const all = config.role === 'worker' ? WORKER_LEAVES : LEAVES
    const renewed = await admin.renewCertificates(leavesOf[flags.cert ?? ''] ?? all)
    if (flags.json) printJson({ renewed })
    else print(`Renewed and in use: ${[...renewed].sort().join(', ')}.`)
    return 0
  }
}

async function check(config: NodeConfig, { json }: RefreshFlags): Promise<number> {
  const { readCertificateDates } = await import('../runtime/pki/dates.ts')
  const { adminSocket, pki } = nodePaths(config.dataDir)
  const dates = await readCertificateDates(pki)
  const rotation = config.role === 'worker' ? null : await rotationOf(createAdminClient(adminSocket))
  const iso = (ms: number) => new Date(ms).toISOString()
  const certificates = dates.map(({ name, startMs, endMs }) => ({
    name,
    notBefore: iso(startMs),
    notAfter: iso(endMs),
  }))
  if (json) printJson({ certificates, rotation: rotation ?? null })
  else print([renderDates(dates, systemClock.now()), ...rotationLines(rotation)].join('\n'))
  return 0
}

/** Undefined when the daemon cannot say. */
async function rotationOf(admin: AdminClient): Promise<AuthorityRotationStatus | null | undefined> {
  return admin.authorityRotation().catch(() => undefined)
}

const rotationLines = (rotation: AuthorityRotationStatus | null | undefined): string[] =>
  rotation ? ['', renderRotation(rotation)] : []

async function replaceAuthority(admin: AdminClient, flags: RefreshFlags): Promise<number> {
  if (!flags.json && !flags.yes) remark(AUTHORITY_ADVICE)
  await confirm(AUTHORITY_QUESTION, flags)
  await admin.replaceAuthority()
  await followAuthority(admin, flags, rotation => rotation === null || rotation.inUse)
  if (flags.json) printJson({ replaced: true })
  else print(`Every node has the new authority and its certificates.\n${AUTHORITY_ADVICE}`)
  return 0
}

async function dropEarlier(admin: AdminClient, flags: RefreshFlags): Promise<number> {
  const dropped = await admin.dropEarlierAuthority()
  if (dropped) await followAuthority(admin, flags, rotation => rotation === null)
  if (flags.json) printJson({ dropped })
  else print(dropped ? 'The earlier authority is not trusted any more.' : 'There is no earlier authority.')
  return 0
}

function followAuthority(
  admin: AdminClient,
  flags: RefreshFlags,
  isDone: (rotation: AuthorityRotationStatus | null) => boolean,
): Promise<void> {
  const hint = 'it goes on by itself; to see how far it is: mk8s refresh-certs --check'
  return follow({ ...flags, what: 'authority', hint, ask: () => rotationOf(admin), isDone })
}

const peerAuthority = (): Mk8sError =>
  new Mk8sError('refused', 'the peer authority cannot be replaced while the cluster runs', {
    why: 'it belongs to the generation of the cluster: another one keeps former members out',
    hint: 'mk8s recover begins a new generation, with another peer authority, from one server; the others join again',
  })

const nothingEarlier = (name: string): Mk8sError =>
  new Mk8sError('usage', `there is never an earlier ${name} to drop`, {
    hint: `--drop-earlier goes with --cert ${AUTHORITY} or --cert ${TOKEN_KEY}`,
  })
