/** `mk8s upgrade`: another version of mk8s, on one node or on all of them, one after the other. */
import { systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { Flags } from '../cli/flags.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import { readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { MK8S_VERSION } from '../config/version.ts'
import type { NodeUpgradeParts } from '../runtime/upgrade/node-upgrade.ts'
import type { Release } from '../runtime/upgrade/release-source.ts'
import { mustBeRoot, NodeCommand, timeoutFlag } from './base-command.ts'

interface Outcome {
  readonly node: string
  readonly from: string
  readonly to: string
}

interface UpgradeFlags {
  readonly from?: string | undefined
  readonly channel?: string | undefined
  readonly version?: string | undefined
  readonly key?: readonly string[] | undefined
  readonly check: boolean
  readonly json: boolean
  readonly 'this-node': boolean
  readonly rollback: boolean
  readonly timeout: number
  readonly staged: boolean
  readonly unattended: boolean
  readonly until?: number | undefined
}

export class Upgrade extends NodeCommand {
  static override summary = 'Put another version of mk8s in place, on all nodes.'
  static override description =
    'Takes a release only when its list of checksums is signed with a key that this executable was packaged with, ' +
    'that lies in DATA-DIR/release-keys, or that --key names. The executable is replaced atomically and the daemon ' +
    'started again without touching pods; when the node does not become healthy, the executable before is put back. ' +
    'On a server, the other servers come first, the leader last among them, then the workers; it stops at the first ' +
    'node that fails, and the same command goes on later. What a power cut interrupted is finished or undone when ' +
    'the daemon starts, or by the next upgrade.'
  static override examples = [
    '<%= config.bin %> upgrade --from /media/mk8s-0.2.0 --check',
    '<%= config.bin %> upgrade --from https://releases.example.com/mk8s --channel stable',
    '<%= config.bin %> upgrade --from https://releases.example.com/mk8s --schedule "0 3 * * 0" --window 3h',
    '<%= config.bin %> upgrade --rollback',
  ]
  static override flags = {
    from: Flags.string({
      description:
        'A release: its directory, a file in it, or its URL; or a place with several and channels.json.',
      helpValue: 'PLACE',
      env: 'MK8S_RELEASES',
    }),
    channel: Flags.string({
      description: 'Of a place with several releases. [default: stable]',
      helpValue: 'NAME',
    }),
    version: Flags.string({ description: 'This one, whatever the channel has.', helpValue: 'VERSION' }),
    key: Flags.string({
      description: 'A public key to trust, this once and on this node.',
      helpValue: 'FILE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    check: Flags.boolean({ description: 'Say what would be done, and do nothing.' }),
    'this-node': Flags.boolean({ description: 'Leave the other nodes alone.' }),
    rollback: Flags.boolean({ description: 'Go back to the executable before, on this node.' }),
    timeout: timeoutFlag('How long a node may take to become healthy.'),
    schedule: Flags.string({
      description:
        'Upgrade by itself at these times, when the channel has a newer version: five fields of cron.',
      helpValue: 'CRON',
    }),
    'time-zone': Flags.string({ description: 'Of these times.', helpValue: 'ZONE', default: 'UTC' }),
    window: Flags.string({
      description: 'How long after such a time a node may be begun with.',
      helpValue: 'SPAN',
      default: '2h',
    }),
    unschedule: Flags.boolean({ description: 'Do not upgrade by itself any more.' }),
    staged: Flags.boolean({ hidden: true }),
    unattended: Flags.boolean({ hidden: true }),
    until: Flags.integer({ hidden: true }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Upgrade)
    mustBeRoot('upgrade')
    const config = readNodeConfig(flags['data-dir'])
    if (flags.schedule !== undefined || flags.unschedule) return schedule(config, flags)
    if (!flags.unattended) return this.#upgrade(config, flags)
    const { unattended } = await import('./upgrade-schedule.ts')
    return unattended(config, () => this.#upgrade(config, flags))
  }

  async #upgrade(config: NodeConfig, flags: UpgradeFlags): Promise<number> {
    const progress = (what: string) => {
      if (!flags.json) remark(`- ${what}`)
    }
    const [{ thisNode }, upgrade] = await Promise.all([
      import('../runtime/upgrade/this-node.ts'),
      import('../runtime/upgrade/node-upgrade.ts'),
    ])
    const timeoutMs = flags.timeout * 1_000
    const parts = thisNode({ dataDir: config.dataDir, clock: systemClock, timeoutMs, progress })
    if (flags.staged) return applyStaged(parts)
    if (!flags.check) await resume(parts)
    if (flags.rollback) {
      const others = await othersOf(config)
      const next = await upgrade.previousExecutable(parts, others)
      await upgrade.applyUpgrade(parts, await upgrade.stageUpgrade(parts, next))
      return show([{ node: config.nodeName, from: MK8S_VERSION, to: next.version }], next.version, flags)
    }
    const release = await releaseOf(config.dataDir, flags)
    if (flags.check) return check(config, release, flags)
    // A channel that was set back is no reason to go back by oneself.
    if (flags.unattended && (await isOlder(release))) return 0
    const isAlone = flags['this-node'] || config.role === 'worker'
    const done = isAlone
      ? await upgradeAlone(parts, config, release)
      : await upgradeCluster(parts, config, release, flags)
    return show(done, release.version, flags)
  }
}

async function applyStaged(parts: NodeUpgradeParts): Promise<number> {
  const [{ applyUpgrade }, { readUpgrade }] = await Promise.all([
    import('../runtime/upgrade/node-upgrade.ts'),
    import('../runtime/upgrade/upgrade-journal.ts'),
  ])
  const record = readUpgrade(parts.dataDir)
  if (record?.stage !== 'staged') throw new Mk8sError('refused', 'no executable is staged')
  await applyUpgrade(parts, record)
  return 0
}

async function schedule(
  config: NodeConfig,
  flags: {
    readonly schedule?: string | undefined
    readonly from?: string | undefined
    readonly channel?: string | undefined
    readonly window: string
    readonly 'time-zone': string
  },
): Promise<number> {
  const [{ removeSchedule, setSchedule }, { secondsIn }] = await Promise.all([
    import('./upgrade-schedule.ts'),
    import('../cli/duration.ts'),
  ])
  if (flags.schedule === undefined) {
    await removeSchedule(config)
    print('This cluster does not upgrade by itself any more.')
    return 0
  }
  if (flags.from === undefined) throw noSource()
  await setSchedule(config, {
    ...{ cron: flags.schedule, timeZone: flags['time-zone'], from: flags.from },
    windowSeconds: secondsIn(flags.window, '--window'),
    channel: flags.channel ?? '',
  })
  print(`This cluster upgrades by itself: ${flags.schedule} (${flags['time-zone']}), for ${flags.window}.`)
  return 0
}

const noSource = (): Mk8sError =>
  new Mk8sError('usage', 'nothing says where releases come from', {
    hint: 'mk8s upgrade --from PLACE, or set MK8S_RELEASES',
  })

async function resume(parts: NodeUpgradeParts): Promise<void> {
  const { resumeUpgrade } = await import('../runtime/upgrade/node-upgrade.ts')
  const outcome = await resumeUpgrade(parts)
  if (outcome === 'discarded') parts.progress('cleared away an upgrade that was cut off')
  if (outcome === 'finished') parts.progress('finished an upgrade that was cut off')
  if (outcome !== 'went-back') return
  throw new Mk8sError(
    'upgrade/failed',
    'an upgrade that was cut off was undone; the version before is back',
    {
      hint: 'the same command begins anew',
    },
  )
}

async function releaseOf(dataDir: string, flags: UpgradeFlags): Promise<Release> {
  if (flags.from === undefined) throw noSource()
  const [{ openRelease }, { trustedKeys }] = await Promise.all([
    import('../runtime/upgrade/release-source.ts'),
    import('../runtime/upgrade/release-keys.ts'),
  ])
  const { from, channel, version, key } = flags
  return openRelease({ from, channel, version, keys: trustedKeys(dataDir, key) })
}

const clusterOf = async (config: NodeConfig) => {
  const { clusterView } = await import('./upgrade-cluster.ts')
  return clusterView(config)
}

/** A node that is alone has none, and one whose API does not answer is upgraded without being compared with them. */
async function othersOf(config: NodeConfig): Promise<readonly { name: string; version: string }[]> {
  if (config.role === 'worker') return []
  const cluster = await clusterOf(config)
  try {
    return (await cluster.versions()).filter(({ name }) => name !== config.nodeName)
  } catch {
    return []
  } finally {
    cluster.close()
  }
}

async function upgradeAlone(
  parts: NodeUpgradeParts,
  config: NodeConfig,
  release: Release,
): Promise<readonly Outcome[]> {
  if (release.version === MK8S_VERSION) return []
  await putInPlace(parts, release, await othersOf(config))
  return [{ node: config.nodeName, from: MK8S_VERSION, to: release.version }]
}

async function putInPlace(
  parts: NodeUpgradeParts,
  release: Release,
  others: readonly { name: string; version: string }[],
): Promise<void> {
  const [{ applyUpgrade, stageUpgrade }, { executableName }] = await Promise.all([
    import('../runtime/upgrade/node-upgrade.ts'),
    import('../runtime/upgrade/release.ts'),
  ])
  const name = executableName(process.platform, process.arch)
  const open = () => release.open(name)
  const next = { version: release.version, sum: release.sumOf(name), open, others, isRollback: false }
  await applyUpgrade(parts, await stageUpgrade(parts, next))
}

async function upgradeCluster(
  parts: NodeUpgradeParts,
  config: NodeConfig,
  release: Release,
  { timeout, until }: UpgradeFlags,
): Promise<readonly Outcome[]> {
  const cluster = await clusterOf(config)
  const { rollOut } = await import('../runtime/upgrade/roll-out.ts')
  try {
    const done = await rollOut({
      ...{
        release,
        nodeName: config.nodeName,
        clock: systemClock,
        timeoutMs: timeout * 1_000,
        untilMs: until,
      },
      ...{ pki: cluster.pki, nodes: cluster.nodes, servers: cluster.servers, progress: parts.progress },
      upgradeThisNode: others => putInPlace(parts, release, others),
    })
    return done.map(each => ({ ...each, to: release.version }))
  } finally {
    cluster.close()
  }
}

async function isOlder({ version }: Release): Promise<boolean> {
  const { compareVersions } = await import('../runtime/upgrade/versions.ts')
  return compareVersions(version, MK8S_VERSION) < 0
}

async function check(config: NodeConfig, { version }: Release, { json }: { json: boolean }): Promise<number> {
  const others = await othersOf(config)
  const nodes = [{ name: config.nodeName, version: MK8S_VERSION }, ...others]
  const behind = nodes.filter(node => node.version !== version)
  if (json) printJson({ available: version, nodes })
  else if (behind.length === 0) print(`All nodes have mk8s ${version}.`)
  else
    print(
      [`mk8s ${version} is there for:`, ...behind.map(node => `- ${node.name} (${node.version})`)].join('\n'),
    )
  return 0
}

function show(done: readonly Outcome[], version: string, { json }: { json: boolean }): number {
  if (json) printJson({ version, nodes: done })
  else if (done.length === 0) print(`All nodes have mk8s ${version}.`)
  else
    print(done.map(({ node, from, to }) => `The node ${node} has mk8s ${to} (before: ${from}).`).join('\n'))
  return 0
}
