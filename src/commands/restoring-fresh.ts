/** A restore on a machine without mk8s: it is installed as the first server of the cluster that is in the backup. */
import { existsSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { type Installation, type InstallationParts, prepareInstallation } from '../cli/installation.ts'
import { runSteps } from '../cli/progress.ts'
import { schedulesRemarks } from '../cli/restore-view.ts'
import { remark } from '../cli/terminal.ts'
import { startNode, waitForStart } from '../client/lifecycle.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { carryOutStep, type InstallActions } from '../host/carry-out.ts'
import { nodePaths } from '../host/node-files.ts'
import { installPackages } from '../host/packages.ts'
import { describeStep } from '../host/plan.ts'
import { preflightError } from '../host/preflight.ts'
import { makePrivate } from '../host/private-directory.ts'
import { removeNodeDirectory } from '../host/remove.ts'
import type { Backup } from '../runtime/backup/backup-reader.ts'
import { CONFIG_KEY, clusterConfigIn } from '../runtime/cluster-config.ts'
import { adminKubeconfig, pkiPartsOf } from '../runtime/pki/node-facts.ts'
import { ensurePki, loadPki } from '../runtime/pki/pki.ts'
import { discardPrepared, switchOver, writeJournal } from '../runtime/recovery/switch-over.ts'
import { differencesOf } from '../runtime/restore/difference.ts'
import {
  extractState,
  planGeneration,
  prepareDatastore,
  prepareFresh,
} from '../runtime/restore/prepare-restore.ts'
import { schedulesIn } from '../runtime/restore/restored-state.ts'
import type { NodeLifecycle } from './base-command.ts'
import { commandLog, type Restored, type RestoreFlags, refusedByDisk, show } from './restoring.ts'

const NO_KEYS =
  'The backup has no keys: the cluster gets new authorities, and pods get new tokens. Kubeconfigs, client ' +
  'certificates and tokens that were given out before do not work any more: take the new admin.kubeconfig. Workers ' +
  'do not come back by themselves; on each: mk8s uninstall, then mk8s join with what mk8s add-node --worker says here.'
const WITH_KEYS =
  'The keys are in the backup: kubeconfigs go on to work, and workers that find this machine at the address of an ' +
  'earlier server come back by themselves.'

/** Null when nothing was to be changed. A failure before the state is in place leaves nothing behind. */
export async function restoreFresh(
  backup: Backup,
  lifecycle: NodeLifecycle,
  flags: RestoreFlags & { readonly texts: Readonly<Record<string, string>> },
): Promise<Restored | null> {
  const dataDir = flags['data-dir']
  const installation = await prepareInstallation({
    ...installationParts(lifecycle, flags),
    joinsAs: 'server',
  })
  const problem = preflightError(installation.findings)
  if (problem !== undefined) throw problem
  const hadDirectory = existsSync(dataDir)
  let inPlace = false
  let revision: number | null = null
  try {
    await makePrivate(dataDir, 0o700)
    discardPrepared(dataDir)
    revision = await decide(backup, installation, flags, () => {
      inPlace = true
    })
    if (revision === null) return null
  } catch (error) {
    throw refusedByDisk(dataDir, error)
  } finally {
    if (!inPlace) undo(dataDir, hadDirectory)
  }
  const node = await completeInstallation(lifecycle, flags)
  const { nodeName, clusterId } = node
  return { nodeName, others: [], clusterId, revision, keptIn: null }
}

async function decide(
  backup: Backup,
  { node: config, packages }: Installation,
  flags: RestoreFlags,
  onDecided: () => void,
): Promise<number | null> {
  const { dataDir } = config
  const parts = { backup, config, clock: systemClock, random: systemRandom, log: commandLog() }
  const state = await extractState(parts)
  try {
    const saved = state.get(CONFIG_KEY)
    if (saved === null)
      throw new Mk8sError('backup/foreign', `${backup.path} has no configuration of a cluster`, {
        hint: 'it was made before the cluster had begun; use another backup',
      })
    const cluster = clusterConfigIn(saved.value)
    const { clusterId, createdAt, revision, hasKeys, leftOut } = backup.manifest
    const { nodeName } = config
    await show(
      {
        ...{ file: backup.path, clusterId, createdAt, revision, nodeName, others: [], dropped: [] },
        differences: differencesOf(state, null),
        remarks: [
          hasKeys ? WITH_KEYS : NO_KEYS,
          ...schedulesRemarks(schedulesIn(state), leftOut.length === 0),
        ],
      },
      flags,
    )
    if (flags['dry-run']) return null
    if (packages.length > 0) await installPackages(packages)
    const generation = planGeneration(parts, [])
    const restored = { generation, state, present: null, others: [], keysFromBackup: hasKeys }
    const made = await prepareDatastore(parts, restored)
    const journal = await prepareFresh(parts, generation, cluster)
    writeJournal(dataDir, journal)
    onDecided()
    switchOver(dataDir, journal)
    removeEmptyKept(dataDir, journal.keptIn)
    return made.revision
  } finally {
    state.close()
  }
}

/** There was nothing to keep. */
function removeEmptyKept(dataDir: string, keptIn: string): void {
  for (const path of [join(dataDir, keptIn, 'pki'), join(dataDir, keptIn)]) rmdirSync(path)
}

function undo(dataDir: string, hadDirectory: boolean): void {
  try {
    discardPrepared(dataDir)
    if (!hadDirectory) removeNodeDirectory(dataDir)
  } catch (error) {
    remark(`what was made in ${dataDir} could not be removed: ${messageOf(error)}`)
  }
}

function installationParts(
  { service }: NodeLifecycle,
  flags: RestoreFlags & { readonly texts: Readonly<Record<string, string>> },
): InstallationParts {
  return {
    dataDir: flags['data-dir'],
    flags: flags.texts,
    env: process.env,
    readyTimeoutMs: flags.timeout * 1000,
    service,
    clock: systemClock,
    random: systemRandom,
  }
}

/** What an installation has besides its state, as far as it is missing; also after a crash. */
export async function completeInstallation(
  lifecycle: NodeLifecycle,
  flags: RestoreFlags,
): Promise<NodeConfig> {
  const installation = await prepareInstallation(installationParts(lifecycle, { ...flags, texts: {} }))
  const { node, cluster, steps } = installation
  const problem = preflightError(installation.findings)
  if (problem !== undefined) throw problem
  const parts = { ...lifecycle, service: installation.service }
  let started = false
  const start = async () => {
    started = await startNode(parts)
  }
  const actions: InstallActions = {
    async ensureKeys() {
      const means = { clock: systemClock, random: systemRandom }
      return (await ensurePki(pkiPartsOf(node, cluster, means))).created.length > 0
    },
    async restartIfOutdated() {
      return false
    },
    async renderKubeconfig() {
      const { authorities, leaves } = await loadPki(nodePaths(node.dataDir).pki)
      return adminKubeconfig(node, { authority: authorities['cluster-ca'].certificate, ...leaves.admin })
    },
    start,
    async waitUntilReady(timeoutMs) {
      await waitForStart(parts, { started, timeoutMs })
    },
  }
  const run = steps.map(step => ({
    title: describeStep(step),
    run: async () => void (await carryOutStep(step, actions)),
  }))
  await runSteps(run, { quiet: flags.json })
  return node
}
