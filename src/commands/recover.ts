/** `mk8s recover`: quorum is lost for good, and this server survived. */
import { bracketed } from '../base/bracketed.ts'
import { systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { createLog } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { Flags } from '../cli/flags.ts'
import {
  type OtherMember,
  questionAboutOthers,
  type RecoveryFacts,
  renderRecovered,
  renderRecoveryPlan,
} from '../cli/recovery-view.ts'
import { confirm, print, printJson, remark } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { startNode, stopNode, waitForStart } from '../client/lifecycle.ts'
import { isReachable } from '../client/reachable.ts'
import { readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { acquireLock } from '../host/lock.ts'
import { nodePaths } from '../host/node-files.ts'
import type { PreparedRecovery } from '../runtime/recovery/recover-node.ts'
import {
  lifecycleOf,
  mustBeRoot,
  NodeCommand,
  type NodeLifecycle,
  timeoutFlag,
  yesFlag,
} from './base-command.ts'

/** How long another server has to answer before it counts as off. */
const PROBE_MS = 1_000

interface RecoverFlags {
  readonly yes: boolean
  readonly force: boolean
  readonly json: boolean
  readonly timeout: number
  readonly 'others-are-off': boolean
  readonly 'dry-run': boolean
}

export class Recover extends NodeCommand {
  static override summary = 'Make a cluster of this one server when the others are lost for good.'
  static override description =
    'For a datastore that has lost its quorum and will not get it back. Shows what is kept and what may be lost, ' +
    'keeps a copy of the datastore, and begins a new generation of the cluster that the old servers cannot join or ' +
    'send to. An interrupted recovery is finished by the next one. When no server survived, restore-datastore brings the cluster back from a backup.'
  static override examples = [
    '<%= config.bin %> recover --dry-run',
    '<%= config.bin %> recover',
    '<%= config.bin %> recover --yes --others-are-off',
  ]
  static override flags = {
    yes: yesFlag,
    'others-are-off': Flags.boolean({
      description: 'Confirm that every other server is off or wiped, and stays so until it joins again.',
    }),
    force: Flags.boolean({
      description: 'Recover although another server answers, or the datastore has a leader.',
    }),
    'dry-run': Flags.boolean({ description: 'Show what would be done, and change nothing.' }),
    timeout: timeoutFlag('How long to wait until the node is Ready again.'),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(Recover)
    mustBeRoot('recover')
    const config = readNodeConfig(flags['data-dir'])
    const lifecycle = await lifecycleOf(config.dataDir)
    const { readJournal } = await import('../runtime/recovery/switch-over.ts')
    const journal = readJournal(config.dataDir)
    if (journal?.restore !== undefined) throw restoreUnderWay()
    if (journal !== undefined) return finish(config, lifecycle, flags)
    await refuseWithQuorum(config, flags)
    const wasRunning = await stopNode(lifecycle, { workloads: false })
    let changed = false
    try {
      const prepared = await recover(config, flags)
      changed = prepared !== undefined
      if (prepared === undefined) return 0
      await startAgain(lifecycle, flags)
      if (flags.json) printJson(prepared)
      else print(renderRecovered(prepared, config.dataDir))
      return 0
    } finally {
      if (!changed && wasRunning) await startNode(lifecycle)
    }
  }
}

/** Undefined when nothing was to be changed. */
async function recover(config: NodeConfig, flags: RecoverFlags): Promise<PreparedRecovery | undefined> {
  const { dataDir } = config
  const [{ prepareRecovery, carryOutRecovery }, { discardPrepared }] = await Promise.all([
    import('../runtime/recovery/recover-node.ts'),
    import('../runtime/recovery/switch-over.ts'),
  ])
  const lock = acquireLock(nodePaths(dataDir).lock, dataDir)
  let begun = false
  try {
    const log = createLog({ level: 'warn', write: remark, now: systemClock.now })
    const prepared = await prepareRecovery({ config, clock: systemClock, random: systemRandom, log })
    show(prepared, dataDir, flags)
    if (flags['dry-run']) return undefined
    await refuseWhileOthersAnswer(prepared.others, flags)
    await confirmAll(prepared, flags)
    begun = true
    carryOutRecovery(dataDir, prepared)
    return prepared
  } finally {
    if (!begun) discardPrepared(dataDir)
    lock.release()
  }
}

function show(facts: RecoveryFacts, dataDir: string, flags: RecoverFlags): void {
  if (flags.json && flags['dry-run']) printJson(facts)
  else if (flags['dry-run']) print(renderRecoveryPlan(facts, dataDir))
  else if (!flags.json) remark(`${renderRecoveryPlan(facts, dataDir)}\n`)
}

/** Its other servers have to leave the old generation first, which a recovery would not wait for. */
const restoreUnderWay = (): Mk8sError =>
  new Mk8sError('refused', 'a restore of this server was decided and has to be finished first', {
    why: 'what it prepared is only partly in place',
    hint: 'mk8s start; or mk8s restore-datastore with the same file, which waits until it is done',
  })

/** Another recovery got as far as its journal: nothing is left to decide. */
async function finish(config: NodeConfig, lifecycle: NodeLifecycle, flags: RecoverFlags): Promise<number> {
  const { dataDir, nodeName } = config
  const { readJournal, switchOver } = await import('../runtime/recovery/switch-over.ts')
  const journal = readJournal(dataDir)
  if (journal === undefined || flags['dry-run']) {
    print('A recovery was interrupted; mk8s recover finishes it.')
    return 0
  }
  await stopNode(lifecycle, { workloads: false })
  const lock = acquireLock(nodePaths(dataDir).lock, dataDir)
  try {
    switchOver(dataDir, journal)
  } finally {
    lock.release()
  }
  await startAgain(lifecycle, flags)
  if (flags.json) printJson(journal)
  else
    print(
      [
        `The recovery that was interrupted is finished: ${nodeName} is Ready.`,
        `What was there before is in ${dataDir}/${journal.keptIn}.`,
      ].join('\n'),
    )
  return 0
}

async function startAgain(lifecycle: NodeLifecycle, { timeout }: RecoverFlags): Promise<void> {
  const started = await startNode(lifecycle)
  await waitForStart(lifecycle, { started, timeoutMs: timeout * 1000 })
}

/** With a leader there is a quorum, and everything that recover does can be done without losing anything. */
async function refuseWithQuorum({ dataDir }: NodeConfig, { force }: RecoverFlags): Promise<void> {
  const leader = await leaderOf(dataDir)
  if (leader === null || force) return
  throw new Mk8sError('refused', 'the datastore has a leader, so its quorum is not lost', {
    why: `member ${leader} leads`,
    hint: 'mk8s remove-node NAME takes a lost server out of the cluster',
  })
}

async function leaderOf(dataDir: string): Promise<string | null> {
  try {
    const { leader } = await createAdminClient(nodePaths(dataDir).adminSocket).datastore()
    return leader
  } catch (error) {
    // A daemon that does not run or does not answer knows of no leader.
    if (error instanceof Mk8sError && (error.code === 'node/not-running' || error.code === 'timeout'))
      return null
    throw error
  }
}

type Addressed = OtherMember & Pick<PreparedRecovery['others'][number], 'peerAddresses'>

async function refuseWhileOthersAnswer(others: readonly Addressed[], flags: RecoverFlags): Promise<void> {
  const probes = others.flatMap(({ nodeName, joinAddress, peerAddresses }) =>
    [joinAddress, ...peerAddresses].map(async address => ({
      place: `${nodeName} at ${bracketed(address.host)}:${address.port}`,
      reached: await isReachable(address, PROBE_MS),
    })),
  )
  const answering = (await Promise.all(probes)).filter(({ reached }) => reached).map(({ place }) => place)
  if (answering.length === 0) return
  if (flags.force) {
    remark(`warning: these answer and are cut off all the same: ${answering.join(', ')}`)
    return
  }
  throw new Mk8sError('refused', 'another server of this cluster is not off', {
    why: `${answering.join(', ')} answers`,
    hint: 'start this node and see mk8s status; with the others quorum may come back. Else switch them off first',
  })
}

async function confirmAll({ others }: PreparedRecovery, flags: RecoverFlags): Promise<void> {
  if (others.length > 0 && !flags['others-are-off']) {
    if (flags.yes || !process.stdin.isTTY) {
      throw new Mk8sError('refused', 'nobody has confirmed that the other servers are off', {
        why: others.map(({ nodeName }) => nodeName).join(', '),
        hint: 'say --yes --others-are-off, once they are',
      })
    }
    await confirm(questionAboutOthers(others), { yes: false })
  }
  await confirm('Begin the new generation on this server?', flags)
}
