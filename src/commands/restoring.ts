/** The steps of a restore on a server that is installed: alone, or with the other servers of its cluster. */
import { bracketed } from '../base/bracketed.ts'
import { sleepAlive, systemClock } from '../base/clock.ts'
import { Mk8sError, messageOf, systemCodeOf } from '../base/errors.ts'
import { createLog } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { type RestorePlanFacts, renderRestorePlan, schedulesRemarks } from '../cli/restore-view.ts'
import { confirm, print, printJson, remark } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { startNode, stopNode, waitForStart } from '../client/lifecycle.ts'
import { podNetworks, serviceNetworks } from '../config/cluster-networks.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { diskFailure } from '../host/files.ts'
import { acquireLock } from '../host/lock.ts'
import { nodePaths, readFailure } from '../host/node-files.ts'
import type { Backup } from '../runtime/backup/backup-reader.ts'
import { CONFIG_KEY, clusterConfigIn } from '../runtime/cluster-config.ts'
import type { KnownMember } from '../runtime/join/protocol.ts'
import { MEMBER_PATH, type MemberAnswer } from '../runtime/members/member-answer.ts'
import { type MemberRecord, memberName } from '../runtime/members/member-record.ts'
import { readPreparedPeerAuthority } from '../runtime/recovery/recover-node.ts'
import { discardPrepared, type RecoveryJournal, writeJournal } from '../runtime/recovery/switch-over.ts'
import { type ClusterFacts, collectClusterFacts, refuseSilent } from '../runtime/restore/cluster-facts.ts'
import { differencesOf } from '../runtime/restore/difference.ts'
import { finishRestore } from '../runtime/restore/finish-restore.ts'
import {
  extractState,
  type Generation,
  type PrepareParts,
  planGeneration,
  prepareDatastore,
  prepareInstalled,
} from '../runtime/restore/prepare-restore.ts'
import { announceCommand, refuseWhileUndecided } from '../runtime/restore/prepared.ts'
import { type PresentOutcome, withPresentState } from '../runtime/restore/present-state.ts'
import { ABORT_PATH, COMMIT_PATH, PREPARE_PATH, type PrepareRequest } from '../runtime/restore/protocol.ts'
import { schedulesIn } from '../runtime/restore/restored-state.ts'
import { createServerCalls, type ServerCalls } from '../runtime/restore/server-calls.ts'
import type { BackupState } from '../runtime/store/sqlite/backup-state.ts'
import type { NodeLifecycle } from './base-command.ts'

export interface RestoreFlags {
  readonly 'data-dir': string
  readonly yes: boolean
  readonly json: boolean
  readonly timeout: number
  readonly 'dry-run': boolean
  readonly 'others-are-off': boolean
}

export interface Restored {
  readonly nodeName: string
  readonly others: readonly string[]
  readonly clusterId: string
  readonly revision: number
  readonly keptIn: string | null
}

interface Decided {
  readonly generation: Generation
  readonly others: readonly MemberRecord[]
  readonly revision: number
}

const PREPARE_MS_MAX = 20_000
const ABORT_MS_MAX = 3_000
const COMMIT_MS_MAX = 5_000
const POLL_MS = 50
const ASK_MS_MAX = 1_000

export const commandLog = () => createLog({ level: 'warn', write: remark, now: systemClock.now })

/** Null when nothing was to be changed. */
export async function restoreInstalled(
  backup: Backup,
  config: NodeConfig,
  lifecycle: NodeLifecycle,
  flags: RestoreFlags,
): Promise<Restored | null> {
  const { dataDir, nodeName } = config
  if (config.role !== 'server') throw workerError()
  refuseWhileUndecided(dataDir)
  discardPrepared(dataDir)
  const calls = createServerCalls(dataDir)
  const parts = { backup, config, clock: systemClock, random: systemRandom, log: commandLog() }
  const decided = await decide(parts, calls, flags)
  if (decided === null) return null
  const { generation, others, revision } = decided
  const { newClusterId } = generation
  await putInPlace(config, lifecycle, calls, { newClusterId, timeout: flags.timeout })
  await waitForOthers(config, others, { calls, timeoutMs: flags.timeout * 1000 })
  const names = others.map(other => other.nodeName)
  return { nodeName, others: names, clusterId: newClusterId, revision, keptIn: generation.keptIn }
}

/** Up to the journal, which makes it final; before that, everything is taken back. */
async function decide(parts: PrepareParts, calls: ServerCalls, flags: RestoreFlags): Promise<Decided | null> {
  const { dataDir } = parts.config
  let journal: RecoveryJournal | undefined
  try {
    return await withPresentState(dataDir, async outcome => {
      const facts = await collectClusterFacts(parts.config, calls, outcome)
      refuseSilent(facts, flags['others-are-off'])
      const generation = planGeneration(parts, facts.revisions)
      announceCommand(dataDir, generation.newClusterId)
      const state = await extractState(parts)
      try {
        const cluster = checkFit(parts, state, outcome)
        await show(planFacts(parts, state, outcome, facts), flags)
        if (flags['dry-run']) return null
        const others = facts.others.filter(other => !facts.silent.includes(other))
        const present = outcome.present?.state ?? null
        const restored = { generation, state, present, others, keysFromBackup: false }
        const { revision } = await prepareDatastore(parts, restored)
        const { voters } = facts
        const prepared = await prepareInstalled(parts, { generation, others, voters })
        await tellToPrepare({ parts, calls, others, generation, cluster })
        writeJournal(dataDir, prepared)
        journal = prepared
        return { generation, others, revision }
      } finally {
        state.close()
      }
    })
  } catch (error) {
    throw refusedByDisk(dataDir, error)
  } finally {
    if (journal === undefined) discardPrepared(dataDir)
  }
}

/** A write that the system refused, in words; nothing was changed. */
export const refusedByDisk = (dataDir: string, error: unknown): unknown =>
  error instanceof Mk8sError || systemCodeOf(error) === undefined ? error : diskFailure(dataDir, error)

interface Telling {
  readonly parts: PrepareParts
  readonly calls: ServerCalls
  readonly others: readonly MemberRecord[]
  readonly generation: Generation
  readonly cluster: ClusterConfig
}

/** All of them, or none: what one has prepared goes when another cannot. */
async function tellToPrepare({ parts, calls, others, generation, cluster }: Telling): Promise<void> {
  const { config } = parts
  const { newClusterId, keptIn } = generation
  const request: PrepareRequest = {
    clusterId: config.clusterId,
    newClusterId,
    peerAuthority: await readPreparedPeerAuthority(config.dataDir),
    cluster,
    restorer: ownPlace(config),
    keptIn,
  }
  const outcomes = await Promise.allSettled(
    others.map(({ joinAddress }) => calls.post(joinAddress, PREPARE_PATH, request, PREPARE_MS_MAX)),
  )
  const at = outcomes.findIndex(({ status }) => status === 'rejected')
  const failed = outcomes[at]
  if (failed?.status !== 'rejected') return
  await Promise.allSettled(
    others.map(({ joinAddress }) => calls.post(joinAddress, ABORT_PATH, { newClusterId }, ABORT_MS_MAX)),
  )
  const { reason } = failed
  throw new Mk8sError(
    'refused',
    `${others[at]?.nodeName} cannot take part in the restore; nothing was changed`,
    {
      why: [messageOf(reason), reason instanceof Mk8sError ? reason.why : undefined]
        .filter(Boolean)
        .join(': '),
      hint: `see to that server, or take it out first: mk8s remove-node ${others[at]?.nodeName} --force`,
      cause: reason,
    },
  )
}

function ownPlace({ memberId, nodeName, bindAddress: host, ports }: NodeConfig): KnownMember {
  return {
    id: memberName(memberId),
    nodeName,
    peerAddresses: [{ host, port: ports.raft }],
    apiAddress: { host, port: ports.api },
    joinAddress: { host, port: ports.join },
  }
}

/**
 * The daemon ends, the old generation with it, and the new one takes its place. A daemon that runs does so itself,
 * whatever becomes of this command meanwhile.
 */
export async function putInPlace(
  config: NodeConfig,
  lifecycle: NodeLifecycle,
  calls: ServerCalls,
  { newClusterId, timeout }: { readonly newClusterId: string; readonly timeout: number },
): Promise<void> {
  const { dataDir } = config
  const timeoutMs = timeout * 1000
  const { joinAddress } = ownPlace(config)
  const told = await calls.post(joinAddress, COMMIT_PATH, { newClusterId }, COMMIT_MS_MAX).then(
    () => true,
    () => false,
  )
  if (told) return waitForGeneration(dataDir, newClusterId, timeoutMs)
  await stopNode(lifecycle, { workloads: false })
  const lock = acquireLock(nodePaths(dataDir).lock, dataDir)
  try {
    const signal = new AbortController().signal
    await finishRestore({ dataDir, calls, clock: systemClock, log: commandLog(), signal, timeoutMs })
  } catch (error) {
    lock.release()
    // The daemon waits on for those that could not be told.
    await startNode(lifecycle).catch(() => {})
    throw error
  }
  lock.release()
  const started = await startNode(lifecycle)
  await waitForStart(lifecycle, { started, timeoutMs })
}

/** The daemon that answers first may still be that of the old generation, and in between nobody answers. */
async function waitForGeneration(dataDir: string, clusterId: string, limitMs: number): Promise<void> {
  const client = createAdminClient(nodePaths(dataDir).adminSocket)
  const deadline = systemClock.monotonic() + limitMs
  for (;;) {
    const status = await client.status({ waitReadyMs: ASK_MS_MAX, answerMs: ASK_MS_MAX }).catch(() => null)
    if (status?.ready && status.clusterId === clusterId) return
    if (systemClock.monotonic() > deadline) throw readFailure(dataDir) ?? notReady(limitMs)
    await sleepAlive(systemClock, POLL_MS)
  }
}

const notReady = (limitMs: number): Mk8sError =>
  new Mk8sError('node/not-ready', `the node is not ready with the restored state after ${limitMs / 1000} s`, {
    why: 'the restore is decided, and the daemon goes on with it',
    hint: 'mk8s status',
  })

/** Networks and domain are in certificates, pods and other nodes: they cannot change under a cluster. */
function checkFit(
  { backup, config }: PrepareParts,
  state: BackupState,
  { present }: PresentOutcome,
): ClusterConfig {
  const [saved, now] = [state.get(CONFIG_KEY), present?.state.get(CONFIG_KEY) ?? null]
  if (saved === null)
    throw new Mk8sError('backup/foreign', `${backup.path} has no configuration of a cluster`, {
      hint: 'it was made before the cluster had begun; use another backup',
    })
  const cluster = clusterConfigIn(saved.value)
  if (now === null) return cluster
  const here = clusterConfigIn(now.value)
  const keys = ['serviceCidr', 'podCidr', 'clusterDomain'] as const
  const networks = (config: ClusterConfig) => ({
    serviceCidr: serviceNetworks(config).join(),
    podCidr: podNetworks(config).join(),
    clusterDomain: config.clusterDomain,
  })
  const [theirs, ours] = [networks(cluster), networks(here)]
  const different = keys.filter(key => theirs[key] !== ours[key])
  if (different.length === 0) return cluster
  throw new Mk8sError(
    'refused',
    `the backup is of a cluster with other networks than that of ${config.nodeName}`,
    {
      why: different.map(key => `${key} is ${ours[key]}, in the backup ${theirs[key]}`).join('\n'),
      hint: 'mk8s uninstall here, then restore on the empty machine; or restore parts with --only',
    },
  )
}

function planFacts(
  { backup, config }: PrepareParts,
  state: BackupState,
  { present, problem }: PresentOutcome,
  { others, silent }: ClusterFacts,
): RestorePlanFacts {
  const { clusterId, createdAt, revision, hasKeys, leftOut } = backup.manifest
  const names = (records: readonly MemberRecord[]) => records.map(({ nodeName }) => nodeName)
  return {
    file: backup.path,
    clusterId,
    createdAt,
    revision,
    nodeName: config.nodeName,
    others: names(others.filter(other => !silent.includes(other))),
    dropped: names(silent),
    differences: differencesOf(state, present?.state ?? null),
    remarks: [
      ...(hasKeys ? ['The cluster keeps its keys; those in the backup are not used.'] : []),
      ...schedulesRemarks(schedulesIn(state), leftOut.length === 0),
      ...(problem === ''
        ? []
        : [`The present state cannot be read, so all that the backup has counts as added: ${problem}.`]),
      ...(present?.from === 'disk'
        ? ['The daemon does not answer: compared is what the disk has, which may lag.']
        : []),
    ],
  }
}

export async function show(facts: RestorePlanFacts, flags: RestoreFlags): Promise<void> {
  if (flags['dry-run']) {
    if (flags.json) printJson(facts)
    else print(renderRestorePlan(facts))
    return
  }
  if (!flags.json) remark(`${renderRestorePlan(facts)}\n`)
  const servers = [facts.nodeName, ...facts.others].join(', ')
  await confirm(`Replace the state of ${servers} by that of the backup?`, flags)
}

/** Until the leader says that every server holds its role again. */
async function waitForOthers(
  config: NodeConfig,
  others: readonly MemberRecord[],
  { calls, timeoutMs }: { calls: ServerCalls; timeoutMs: number },
): Promise<void> {
  if (others.length === 0) return
  const places = [ownPlace(config), ...others]
  const deadline = systemClock.monotonic() + timeoutMs
  for (;;) {
    const answers = (
      await Promise.all(
        places.map(({ joinAddress }) => calls.get(joinAddress, MEMBER_PATH, ASK_MS_MAX).catch(() => null)),
      )
    ).filter(answer => answer !== null) as MemberAnswer[]
    if (
      answers.length === places.length &&
      answers.some(({ id, leader, settled }) => id === leader && settled)
    )
      return
    if (systemClock.monotonic() > deadline) throw notBack(places, answers)
    await sleepAlive(systemClock, POLL_MS)
  }
}

function notBack(
  places: readonly { nodeName: string; joinAddress: { host: string } }[],
  answers: readonly MemberAnswer[],
): Mk8sError {
  const missing = places.filter(place => !answers.some(({ nodeName }) => nodeName === place.nodeName))
  const names = missing
    .map(({ nodeName, joinAddress }) => `${nodeName} (${bracketed(joinAddress.host)})`)
    .join(', ')
  return new Mk8sError('timeout', 'the state is restored, but not all servers have their roles again', {
    why: missing.length === 0 ? 'they are still catching up' : `nothing was heard of ${names}`,
    hint: 'mk8s status --watch; a server that was off follows when it is started',
  })
}

export const workerError = (): Mk8sError =>
  new Mk8sError('refused', 'this node is a worker and holds no datastore', {
    hint: 'run mk8s restore-datastore on a server of the cluster; this node follows by itself',
  })
