/**
 * A cluster's upgrade, from one of its servers: one node after the other, each only when the others are well, ending
 * at the first failure. What was done shows in the nodes' versions, so that the same command goes on later.
 */
import type { Readable } from 'node:stream'
import { type Clock, sleepAlive } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Node } from '../../kube/types.ts'
import type { Pki } from '../pki/pki.ts'
import { reportOf, sendUpgrade } from './node-channel.ts'
import { type ClusterNode, planRollOut, rollOutProblem } from './plan-roll-out.ts'
import { executableName } from './release.ts'
import type { Release } from './release-source.ts'
import { mayMeet, ownVersionIn } from './versions.ts'

export interface RollOutParts {
  readonly release: Release
  /** Of this server. */
  readonly nodeName: string
  readonly pki: () => Promise<Pki>
  /** As the API has them. */
  readonly nodes: () => Promise<readonly Node[]>
  /** Names of the datastore's members that live and have caught up, and the leader's; throws while nobody answers. */
  readonly servers: () => Promise<{
    readonly well: ReadonlySet<string>
    readonly all: ReadonlySet<string>
    readonly leader: string
  }>
  readonly upgradeThisNode: (others: readonly { name: string; version: string }[]) => Promise<void>
  readonly clock: Clock
  readonly timeoutMs: number
  /** No node is begun with after this time of the clock. */
  readonly untilMs?: number | undefined
  readonly progress: (what: string) => void
}

export interface NodeOutcome {
  readonly node: string
  readonly from: string
}

const LOOK_MS = 250
/** What a node may take besides becoming healthy: to be sent the executable, and to go back. */
const SLACK_MS = 60_000

/** @throws with the node's name at the first failure. */
export async function rollOut(parts: RollOutParts): Promise<readonly NodeOutcome[]> {
  const { release, progress } = parts
  const done: NodeOutcome[] = []
  for (;;) {
    const nodes = await lookAround(parts)
    assertNear(nodes, release.version)
    const [next] = planRollOut(nodes, release.version)
    if (next === undefined) return done
    assertInTime(parts, done)
    progress(`${next.name}: from ${next.version} to ${release.version}`)
    try {
      await untilOthersAreWell(parts, next)
      await upgradeNode(parts, next)
      await untilNodeHas(parts, next.name)
    } catch (error) {
      throw stopped(next, done, error)
    }
    done.push({ node: next.name, from: next.version ?? '' })
  }
}

function assertInTime({ clock, untilMs }: RollOutParts, done: readonly NodeOutcome[]): void {
  if (untilMs === undefined || clock.now() < untilMs) return
  throw new Mk8sError('timeout', 'the window of the upgrade is over', {
    why: `${done.length} nodes were upgraded; the next window goes on with the others`,
  })
}

function stopped({ name }: ClusterNode, done: readonly NodeOutcome[], error: unknown): Mk8sError {
  const known = error instanceof Mk8sError ? error : undefined
  const told =
    done.length === 0 ? 'no node was changed' : `${done.map(({ node }) => node).join(', ')} went well`
  return new Mk8sError(known?.code ?? 'upgrade/failed', `the upgrade stopped at the node ${name}`, {
    why: [messageOf(error), known?.why, told].filter(text => text).join('\n'),
    hint: 'the same command goes on with the nodes that are left',
    cause: error,
  })
}

function assertNear(nodes: readonly ClusterNode[], version: string): void {
  const far = nodes.filter(node => node.version !== null && !mayMeet(node.version, version))
  if (far.length === 0) return
  throw new Mk8sError('refused', `nodes are more than one minor version away from ${version}`, {
    why: far.map(({ name, version: has }) => `${name} has ${has}`).join('\n'),
    hint: 'take the versions in between first',
  })
}

async function lookAround({ nodes, servers }: RollOutParts): Promise<readonly ClusterNode[]> {
  const [found, { all, well, leader }] = await Promise.all([nodes(), servers()])
  return found.map(node => {
    const name = node.metadata.name ?? ''
    const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True'
    const isServer = all.has(name)
    return {
      ...{ name, isServer, isLeader: name === leader },
      version: ownVersionIn(node.status?.nodeInfo?.kubeletVersion ?? ''),
      isReady: ready && (!isServer || well.has(name)),
    }
  })
}

async function untilOthersAreWell(parts: RollOutParts, next: ClusterNode): Promise<void> {
  let problem: string | null = null
  const isSo = async () => {
    problem = rollOutProblem(await lookAround(parts), next)
    return problem === null
  }
  await within(parts, parts.timeoutMs, isSo, () => `the cluster is not well enough to go on: ${problem}`)
}

async function upgradeNode(parts: RollOutParts, { name }: ClusterNode): Promise<void> {
  const { release, nodeName, timeoutMs } = parts
  const nodes = await parts.nodes()
  const others = nodes.flatMap(node => {
    const version = ownVersionIn(node.status?.nodeInfo?.kubeletVersion ?? '')
    const other = node.metadata.name ?? ''
    return version === null || other === name ? [] : [{ name: other, version }]
  })
  if (name === nodeName) return parts.upgradeThisNode(others)
  const node = nodes.find(({ metadata }) => metadata.name === name)
  if (node === undefined) return
  const pki = await parts.pki()
  const { platform, arch } = await reportOf(pki, node)
  const offer = {
    ...{ sums: release.sums.toString('base64'), signature: release.signature },
    ...{ version: release.version, others, timeoutMs },
  }
  const executable: Readable = await release.open(executableName(platform, arch))
  await sendUpgrade(pki, node, offer, executable)
  await untilEnded(parts, node, pki)
}

async function untilEnded(parts: RollOutParts, node: Node, pki: Pki): Promise<void> {
  const { release, timeoutMs } = parts
  await within(
    parts,
    2 * timeoutMs + SLACK_MS,
    async () => {
      const report = await reportOf(pki, node).catch(() => null)
      if (report?.record?.to !== release.version) return false
      if (report.record.stage === 'failed')
        throw new Mk8sError('upgrade/failed', `it went back to ${report.version}`, { why: report.record.why })
      return report.record.stage === 'done' && report.version === release.version
    },
    () => 'it did not say in time how its upgrade ended',
  )
}

async function untilNodeHas(parts: RollOutParts, name: string): Promise<void> {
  const isSo = async () => {
    const found = (await lookAround(parts)).find(node => node.name === name)
    return found === undefined || (found.isReady && found.version === parts.release.version)
  }
  await within(parts, parts.timeoutMs, isSo, () => 'it did not become Ready with the new version')
}

/** A server that has just been started again answers a little later. */
async function within(
  { clock }: RollOutParts,
  limitMs: number,
  isSo: () => Promise<boolean>,
  problem: () => string,
): Promise<void> {
  const deadline = clock.monotonic() + limitMs
  for (;;) {
    const late = clock.monotonic() >= deadline
    try {
      if (await isSo()) return
    } catch (error) {
      if (late || (error instanceof Mk8sError && error.code === 'upgrade/failed')) throw error
    }
    if (late) throw new Mk8sError('timeout', problem())
    await sleepAlive(clock, LOOK_MS)
  }
}
