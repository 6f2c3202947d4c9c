/** In which order the nodes of a cluster are upgraded, and when not. Pure. */
import { compareTexts } from '../../base/compare-texts.ts'

export interface ClusterNode {
  readonly name: string
  readonly version: string | null
  readonly isServer: boolean
  readonly isLeader: boolean
  readonly isReady: boolean
}

/** Those that lack the version: servers first and the leader last among them, so that it hands over once; then workers. */
export function planRollOut(nodes: readonly ClusterNode[], version: string): readonly ClusterNode[] {
  const rank = ({ isServer, isLeader }: ClusterNode) => (isServer ? (isLeader ? 1 : 0) : 2)
  return nodes
    .filter(node => node.version !== null && node.version !== version)
    .sort((one, other) => rank(one) - rank(other) || compareTexts(one.name, other.name))
}

/** Why the next node must not be begun with; null when it may. `done`: those that have the version already. */
export function rollOutProblem(nodes: readonly ClusterNode[], next: ClusterNode): string | null {
  const missing = nodes.filter(node => !node.isReady && node.name !== next.name)
  const counted = next.isServer ? missing.filter(({ isServer }) => isServer) : []
  if (counted.length > 0) return `${counted.map(({ name }) => name).join(', ')}: not Ready`
  return next.isReady ? null : `${next.name} is not Ready`
}
