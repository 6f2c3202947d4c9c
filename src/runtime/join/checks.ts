/** Whether a node may join, from what it says of itself and what the cluster knows. Pure; every refusal says why. */
import { Mk8sError } from '../../base/errors.ts'
import type { MemberRecord } from '../members/member-record.ts'
import type { JoinerNode, JoinRequest } from './protocol.ts'
import type { JoinAttempt, JoinToken } from './tokens.ts'

/** Certificates hold from an hour before their issue; half of that is left to everything else. */
export const SKEW_MS_MAX = 30 * 60_000

export type NodePresence = 'absent' | 'ready' | 'not-ready'

export interface ClusterFacts {
  readonly nowMs: number
  /** Of this server. */
  readonly kubernetes: string
  readonly entryVersion: number
  /** Where this server listens, which tells whether the cluster lives on one machine. */
  readonly bindAddress: string
  readonly members: readonly MemberRecord[]
  /** The Node object of the joiner's name. */
  readonly node: NodePresence
}

const refused = (message: string, why: string, hint: string): Mk8sError =>
  new Mk8sError('refused', message, { why, hint })

/** Throws `refused` or `usage`. */
export function checkJoiner(request: JoinRequest, token: JoinToken, facts: ClusterFacts): void {
  checkToken(request, token)
  checkVersions(request, facts)
  checkClock(request, facts)
  checkName(request.node, facts)
  checkAddress(request.node, facts)
}

function checkToken({ tokenWasShown, node }: JoinRequest, { uses, worker }: JoinToken): void {
  if (worker && node.role !== 'worker')
    throw refused(
      'this token makes workers only',
      'it was made with mk8s add-node --worker',
      'join with --worker, or make another token on a server: mk8s add-node',
    )
  if (tokenWasShown && uses !== 1)
    throw refused(
      'a token that is good for several joins must not stand on a command line',
      'every user of the machine can read the command lines of others',
      'put - in its place in the URL, and give it with --token-file, MK8S_JOIN_TOKEN or on standard input',
    )
}

const minorOf = (version: string): string => /^v?(\d+\.\d+)\./.exec(version)?.[1] ?? version

function checkVersions({ versions }: JoinRequest, facts: ClusterFacts): void {
  const [theirs, ours] = [minorOf(versions.kubernetes), minorOf(facts.kubernetes)]
  if (theirs !== ours)
    throw refused(
      `the node brings Kubernetes ${theirs}, the cluster runs ${ours}`,
      'all nodes of a cluster have the same minor version',
      'install the version of mk8s that the cluster runs on the new node',
    )
  if (versions.entry < facts.entryVersion)
    throw refused(
      'the version of mk8s on the new node is too old for the data of this cluster',
      `it understands log entries up to version ${versions.entry}, the cluster writes version ${facts.entryVersion}`,
      'install the version of mk8s that the cluster runs on the new node',
    )
}

function checkClock({ timeMs }: JoinRequest, { nowMs }: ClusterFacts): void {
  const skewMs = timeMs - nowMs
  if (Math.abs(skewMs) <= SKEW_MS_MAX) return
  throw refused(
    `the clocks differ by ${spoken(Math.abs(skewMs))}`,
    `it is ${new Date(timeMs).toISOString()} on the new node and ${new Date(nowMs).toISOString()} on the server`,
    'set the clock that is wrong (minutes are tolerated); a time service such as chrony keeps it right',
  )
}

/** Rounded, in the largest unit that fits. */
export function spoken(ms: number): string {
  const minutes = Math.round(ms / 60_000)
  if (minutes < 120) return `${minutes} minutes`
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 1440)} days`
}

function checkName({ name }: JoinerNode, { members, node }: ClusterFacts): void {
  const member = members.find(({ nodeName }) => nodeName === name)
  if (member?.leaving)
    throw new Mk8sError('refused', `the server ${name} is being removed from the cluster at this moment`, {
      hint: 'try again in a moment',
    })
  if (member !== undefined)
    throw refused(
      `there is a server ${name} in the cluster already`,
      'every node needs a name of its own',
      `choose another --node-name; or, if that server is gone for good, run this on one that is not: mk8s remove-node ${name} --force`,
    )
  if (node !== 'ready') return
  throw refused(
    `there is a node ${name} in the cluster already, and it is Ready`,
    'every node needs a name of its own',
    `choose another --node-name; or remove that node first: mk8s remove-node ${name}`,
  )
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

function checkAddress({ address, ports, role }: JoinerNode, { members, bindAddress }: ClusterFacts): void {
  if (isLoopback(address) && !isLoopback(bindAddress))
    throw refused(
      `the new node says that it is found at ${address}, which means every machine itself`,
      `this server is at ${bindAddress}`,
      'choose an address that the other nodes can reach: --bind-address',
    )
  if (address.includes(':') !== bindAddress.includes(':'))
    throw refused(
      `the new node says that it is found at ${address}`,
      `this server is at ${bindAddress}, and the nodes of a cluster find each other by one family of addresses`,
      `choose an address of the same family: --bind-address`,
    )
  if (role === 'worker') return
  const twin = members.find(
    ({ peerAddresses, leaving }) =>
      !leaving && peerAddresses.some(({ host, port }) => host === address && port === ports.raft),
  )
  if (twin === undefined) return
  throw refused(
    `the server ${twin.nodeName} has the address ${address} and the port ${ports.raft} already`,
    'no two servers can be found at the same place',
    'choose another --bind-address',
  )
}

/** Another attempt for a node of this name that is a member or becomes one. */
export function rivalOf(
  attempts: readonly JoinAttempt[],
  { name, id }: { readonly name: string; readonly id: string },
): JoinAttempt | undefined {
  return attempts.find(each => each.id !== id && each.node.name === name && each.state === 'committed')
}
