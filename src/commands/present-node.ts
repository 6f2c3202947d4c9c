/**
 * What `mk8s join` does about a node that is here already: one that is in the cluster is left alone, what an
 * interrupted join left is taken back, and a node that was taken out of the cluster, or that founded one of its own
 * with nothing in it but what every cluster begins with, makes way, with a copy kept.
 */
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bracketed } from '../base/bracketed.ts'
import { systemClock } from '../base/clock.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import { confirm, remark } from '../cli/terminal.ts'
import { createAdminClient } from '../client/admin-client.ts'
import { HttpsTransport } from '../client/https-transport.ts'
import { KubeClient } from '../client/kube-client.ts'
import { startNode, stopNode, waitUntilReady } from '../client/lifecycle.ts'
import type { NodeStatus } from '../client/node-status.ts'
import {
  CONFIG_MAPS,
  CRON_JOBS,
  DAEMON_SETS,
  DEPLOYMENTS,
  JOBS,
  NAMESPACES,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  type ResourceRef,
  SECRETS,
  SERVICES,
  STATEFUL_SETS,
} from '../client/resources.ts'
import { nodeConfigPath, readNodeConfig, readRecorded } from '../config/config-files.ts'
import type { ConfigDocuments } from '../config/documents.ts'
import { loopbackAddress } from '../config/values.ts'
import { writeFileDurably } from '../host/files.ts'
import { nodePaths, readFailure } from '../host/node-files.ts'
import { readPidFile } from '../host/processes.ts'
import { removeNodeDirectory } from '../host/remove.ts'
import { fingerprintOf } from '../runtime/join/fingerprint.ts'
import { createJoinClient } from '../runtime/join/join-client.ts'
import { attemptFilePath, joinFilePath, readAttemptFile } from '../runtime/join/join-file.ts'
import { loadPki } from '../runtime/pki/pki.ts'
import { signerOf } from '../runtime/pki/validity.ts'
import { lifecycleOf, type NodeLifecycle } from './base-command.ts'

export type PresentNode =
  | { readonly kind: 'none' }
  /** It is in the cluster that it is to join. */
  | { readonly kind: 'member' }
  /** It may make way: `what` says why nothing is lost with it. */
  | { readonly kind: 'replaceable'; readonly former: ConfigDocuments; readonly what: string }

export interface PresentParts {
  readonly dataDir: string
  /** Of the cluster to join. */
  readonly fingerprint: string
  readonly timeoutMs: number
}

/** Takes back what an interrupted join left. Throws `refused` where nothing but a person can decide. */
export async function lookAtPresentNode(parts: PresentParts): Promise<PresentNode> {
  const { dataDir, fingerprint } = parts
  if (readAttemptFile(dataDir) !== undefined) return settleInterruptedJoin(parts)
  if (readRecorded(nodeConfigPath(dataDir)) === undefined) return { kind: 'none' }
  const config = readNodeConfig(dataDir)
  const own = ownFingerprint(dataDir)
  if (own === fingerprint) return judgeMember(parts)
  if (config.role === 'worker' || existsSync(joinFilePath(dataDir)))
    throw new Mk8sError('refused', `the node in ${dataDir} belongs to another cluster`, {
      hint: 'mk8s leave, then mk8s join again',
    })
  await mustBeAloneAndEmpty(dataDir)
  return { kind: 'replaceable', former: formerSettings(dataDir), what: 'has an empty cluster of its own' }
}

/** It was given to this very cluster at some time. */
async function judgeMember({ dataDir, timeoutMs }: PresentParts): Promise<PresentNode> {
  const failure = readFailure(dataDir)
  if (failure?.code === 'node/removed')
    return { kind: 'replaceable', former: formerSettings(dataDir), what: 'was taken out of this cluster' }
  if (readPidFile(nodePaths(dataDir).daemonPid) === undefined)
    throw new Mk8sError('refused', `the node in ${dataDir} is in this cluster already, but does not run`, {
      hint: 'mk8s start',
    })
  await waitUntilReady({ dataDir, clock: systemClock }, { timeoutMs, failFast: true })
  return { kind: 'member' }
}

function ownFingerprint(dataDir: string): string | undefined {
  try {
    return fingerprintOf(signerOf(readFileSync(join(nodePaths(dataDir).pki, 'cluster-ca.crt'), 'utf8')))
  } catch {
    return undefined
  }
}

/** The settings of the node; those of its cluster go with that. */
function formerSettings(dataDir: string): ConfigDocuments {
  const recorded = readRecorded(nodeConfigPath(dataDir))
  if (recorded === undefined) throw new Mk8sError('node/not-installed', `mk8s is not installed in ${dataDir}`)
  return { ...recorded, recorded: {} }
}

async function settleInterruptedJoin({ dataDir, timeoutMs }: PresentParts): Promise<PresentNode> {
  const file = readAttemptFile(dataDir)
  if (file === undefined) return { kind: 'none' }
  const { attempt, servers, fingerprint, stage } = file
  const client = createJoinClient({ servers, fingerprint, clock: systemClock })
  try {
    const state = await client.state(attempt)
    if (state === null && stage === 'committing') return await finishLongAgo(dataDir, timeoutMs)
    remark('an earlier join was interrupted; it is taken back first')
    await client.abort(attempt)
    const lifecycle = await lifecycleOf(dataDir)
    await stopNode(lifecycle, { workloads: true })
    await lifecycle.forgetContainers()
    await lifecycle.service.remove()
    removeNodeDirectory(dataDir)
    return { kind: 'none' }
  } finally {
    client.close()
  }
}

/** The cluster has settled the attempt by itself: the node is in, or was taken out again. */
async function finishLongAgo(dataDir: string, timeoutMs: number): Promise<PresentNode> {
  try {
    await waitUntilReady({ dataDir, clock: systemClock }, { timeoutMs, failFast: true })
  } catch (error) {
    throw new Mk8sError('refused', `an earlier join of the node in ${dataDir} was interrupted`, {
      why: `whether it became a member cannot be told from here: ${messageOf(error)}`,
      hint: 'mk8s start if it is to go on; mk8s uninstall, then join again, if not',
      cause: error,
    })
  }
  rmSync(attemptFilePath(dataDir), { force: true })
  return { kind: 'member' }
}

const BUILT_IN_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease']
const LOOKED_AT: readonly ResourceRef[] = [
  NAMESPACES,
  PODS,
  DEPLOYMENTS,
  STATEFUL_SETS,
  DAEMON_SETS,
  JOBS,
  CRON_JOBS,
  SERVICES,
  CONFIG_MAPS,
  SECRETS,
  PERSISTENT_VOLUME_CLAIMS,
]
const COUNT_MAX = 500

async function mustBeAloneAndEmpty(dataDir: string): Promise<void> {
  const status = await statusOf(dataDir)
  if (status.datastore === null || status.datastore.members.length > 1)
    throw new Mk8sError('refused', `the node in ${dataDir} is a member of another cluster`, {
      hint: 'mk8s leave, then mk8s join again',
    })
  const lost = await whatWouldBeLost(dataDir)
  if (lost.length === 0) return
  throw new Mk8sError('refused', `the node in ${dataDir} has a cluster of its own with something in it`, {
    why: `it would be lost: ${lost.join(', ')}`,
    hint: 'back it up and run mk8s reset or mk8s uninstall, then join',
  })
}

async function statusOf(dataDir: string): Promise<NodeStatus> {
  try {
    return await createAdminClient(nodePaths(dataDir).adminSocket).status()
  } catch (error) {
    throw new Mk8sError('refused', `there is a node in ${dataDir} already, and it does not run`, {
      why: 'what is in its cluster cannot be looked at',
      hint: 'mk8s start, then join again; or mk8s uninstall if nothing of it is needed',
      cause: error,
    })
  }
}

async function whatWouldBeLost(dataDir: string): Promise<readonly string[]> {
  const { bindAddress, ports } = readNodeConfig(dataDir)
  const { authorities, leaves } = await loadPki(nodePaths(dataDir).pki)
  const transport = new HttpsTransport({
    server: `https://${bracketed(loopbackAddress(bindAddress))}:${ports.api}`,
    caPem: authorities['cluster-ca'].certificate,
    certificatePem: leaves.admin.certificate,
    keyPem: leaves.admin.key,
  })
  try {
    const client = new KubeClient(transport)
    const counts = await Promise.all(LOOKED_AT.map(resource => countOf(client, resource)))
    return counts.flatMap((count, at) => (count === 0 ? [] : [`${count} ${LOOKED_AT[at]?.resource}`]))
  } finally {
    transport.close()
  }
}

async function countOf(client: KubeClient, resource: ResourceRef): Promise<number> {
  const { items } = await client.list(resource, { limit: COUNT_MAX })
  return items.filter(({ metadata }) => {
    const { name = '', namespace = '' } = metadata
    if (resource === NAMESPACES) return !BUILT_IN_NAMESPACES.includes(name)
    const isBuiltIn = BUILT_IN_NAMESPACES.includes(namespace) && namespace !== 'default'
    return !isBuiltIn && name !== 'kube-root-ca.crt' && !(resource === SERVICES && name === 'kubernetes')
  }).length
}

/** A node that has made way, and can come back. */
export interface SafetyCopy {
  readonly path: string
  /** As if nothing had been: the node runs again. */
  restore(): Promise<void>
}

/** Throws `refused` unless a person, or `--force`, wants it. */
export function confirmReplacement(
  dataDir: string,
  { what, yes }: { readonly what: string; readonly yes: boolean },
): Promise<void> {
  const question = `The node in ${dataDir} ${what}. Replace it (a copy is kept beside it)?`
  return confirm(question, { yes })
}

export async function makeWay(dataDir: string): Promise<SafetyCopy> {
  const lifecycle = await lifecycleOf(dataDir)
  await stopNode(lifecycle, { workloads: true })
  await lifecycle.forgetContainers()
  const stamp = new Date(systemClock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const path = `${dataDir}.before-join-${stamp}`
  try {
    renameSync(dataDir, path)
  } catch (error) {
    await startNode(lifecycle)
    throw new Mk8sError('refused', `${dataDir} cannot be moved away to keep it`, {
      why: messageOf(error),
      hint: 'mk8s uninstall, then join',
      cause: error,
    })
  }
  return { path, restore: () => restore(path, dataDir, lifecycle) }
}

async function restore(path: string, dataDir: string, lifecycle: NodeLifecycle): Promise<void> {
  rmSync(dataDir, { recursive: true, force: true })
  renameSync(path, dataDir)
  for (const { path: file, content, mode } of lifecycle.service.files) writeFileDurably(file, content, mode)
  await startNode(lifecycle)
}
