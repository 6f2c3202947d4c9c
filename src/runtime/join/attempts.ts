/**
 * What a server does for those who join, whichever server it is: judges the token, reserves a use of it, makes the
 * node a member, tells how far it is, and takes everything back.
 */

import { bracketed } from '../../base/bracketed.ts'
import type { Clock } from '../../base/clock.ts'
import { sleep } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { ClusterConfig } from '../../config/node-config.ts'
import { MK8S_VERSION } from '../../config/version.ts'
import { votersFor } from '../members/choose-voters.ts'
import { type MemberRecord, memberName } from '../members/member-record.ts'
import { STANDBYS_MAX } from '../members/plan-roles.ts'
import { peerIdentity } from '../pki/authorities.ts'
import { issueWorkerCertificates, type WorkerKeys } from '../pki/worker-certificates.ts'
import type { Configuration } from '../raft/messages.ts'
import type { PeerCredentials } from '../store/peers/peer-network.ts'
import { checkJoiner, type NodePresence, rivalOf } from './checks.ts'
import { dialBack } from './dial-back.ts'
import { Ledger, type LedgerStore } from './ledger.ts'
import type {
  AttemptCredentials,
  AttemptState,
  CommitAnswer,
  CommitRequest,
  JoinAnswer,
  JoinerNode,
  JoinRequest,
  KnownMember,
  ServerKeys,
} from './protocol.ts'
import { hashSecret } from './token-text.ts'
import { hex, type JoinAttempt, RESERVATION_MS, type Reservation, timeText } from './tokens.ts'

/** The cluster's Node objects, through the API. */
export interface NodeDirectory {
  presence(name: string): NodePresence
  /** There may be none any more. */
  remove(name: string): Promise<void>
}

export interface AttemptParts {
  readonly store: LedgerStore
  /** Raft's membership as this member's log has it. */
  readonly membership: () => Configuration
  readonly clusterId: string
  readonly cluster: ClusterConfig
  readonly bindAddress: string
  /** `v1.36.x+mk8s.y`, and the version of the log entries that the cluster writes. */
  readonly kubernetes: string
  readonly entryVersion: number
  /** As they are now: they are renewed while the node runs. */
  readonly keys: () => ServerKeys
  readonly peerCredentials: () => PeerCredentials
  readonly nodes: NodeDirectory
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** How long an attempt that gives way to its successor, or is aborted, may take to leave Raft's membership. */
const LEAVING_MS_MAX = 5_000
const LEAVING_POLL_MS = 25
const MEMBER_ID_BYTES = 6

export class Attempts {
  readonly #parts: AttemptParts
  readonly #ledger: Ledger

  constructor(parts: AttemptParts) {
    this.#parts = parts
    this.#ledger = new Ledger(parts.store, parts.random)
  }

  /** Whether this text is a token at all. Behind a barrier, so that one made on another server a moment ago counts. */
  async knows(text: string): Promise<boolean> {
    await this.#parts.store.barrier()
    return this.#ledger.find(text) !== undefined
  }

  async begin(request: JoinRequest): Promise<JoinAnswer> {
    const { clock, random, log } = this.#parts
    const token = this.#ledger.find(request.token)
    if (token === undefined) throw unusable({ kind: 'used' })
    await this.#clearLeftovers(request.node)
    const nowMs = clock.now()
    checkJoiner(request, token, this.#factsFor(request.node, nowMs))
    const credentials = { id: hex(random, 8), secret: hex(random, 24) }
    const attempt: JoinAttempt = {
      id: credentials.id,
      secretHash: hashSecret(credentials.id, credentials.secret),
      node: request.node,
      memberId: this.#drawMemberId(),
      state: 'reserved',
      expiresAt: timeText(nowMs + RESERVATION_MS),
    }
    const outcome = await this.#ledger.reserve(token.id, attempt, nowMs)
    if (outcome.kind !== 'reserved' || !('token' in outcome)) throw unusable(outcome)
    log.info('a node asks to join', { node: request.node.name, role: request.node.role, attempt: attempt.id })
    return this.#answer(request.node, attempt, credentials)
  }

  #answer(node: JoinerNode, attempt: JoinAttempt, credentials: AttemptCredentials): JoinAnswer {
    const { clusterId, cluster, keys } = this.#parts
    return {
      attempt: credentials,
      clusterId,
      memberId: memberName(attempt.memberId),
      cluster,
      members: this.#ledger
        .members()
        .filter(({ leaving }) => !leaving)
        .map(knownMember),
      keys: node.role === 'server' ? serverKeysOf(keys()) : null,
    }
  }

  #factsFor(node: JoinerNode, nowMs: number) {
    const { kubernetes, entryVersion, bindAddress, nodes } = this.#parts
    const members = this.#ledger.members()
    return { nowMs, kubernetes, entryVersion, bindAddress, members, node: nodes.presence(node.name) }
  }

  /** 48 bits that nobody has; 0 is nobody. */
  #drawMemberId(): number {
    const { random, membership } = this.#parts
    const { voters, outgoing, learners } = membership()
    const taken = [...voters, ...outgoing, ...learners, ...this.#ledger.members().map(({ id }) => id)]
    for (;;) {
      const id = Buffer.from(random.bytes(MEMBER_ID_BYTES)).readUIntBE(0, MEMBER_ID_BYTES)
      if (id > 0 && !taken.includes(id)) return id
    }
  }

  /** An earlier attempt for a node of this name was committed but never confirmed, and nobody is there: it goes. */
  async #clearLeftovers(node: JoinerNode): Promise<void> {
    const attempts = this.#ledger.tokens().flatMap(token => token.attempts)
    const leftover = rivalOf(attempts, { name: node.name, id: '' })
    if (leftover === undefined) return
    const record = this.#ledger.members().find(({ id }) => id === leftover.memberId)
    const address = record?.peerAddresses[0]
    if (record !== undefined && address !== undefined && (await this.#dial(record.id, address)) === undefined)
      throw new Mk8sError('refused', `a node ${node.name} is joining at this moment, and answers`, {
        hint: 'choose another --node-name, or try again once that attempt has ended',
      })
    this.#parts.log.info('an attempt to join that came to nothing gives way', { node: node.name })
    await this.abort(leftover.id)
  }

  /** The attempt whose credentials these are, unless it is over. */
  find(credentials: AttemptCredentials): JoinAttempt | undefined {
    return this.#ledger.attempt(credentials)?.attempt
  }

  /** The node is a member, or a worker, from here on. Asked again, it answers the same. */
  async commit(attempt: JoinAttempt, { publicKeys }: CommitRequest): Promise<CommitAnswer> {
    const { clock, log } = this.#parts
    const { node } = attempt
    const certificates = node.role === 'worker' ? await this.#certify(node, publicKeys) : null
    if (node.role === 'server' && attempt.state === 'reserved') await this.#mustReach(node, attempt.memberId)
    const committed = await this.#ledger.commit(attempt.id, clock.now(), (members, others) =>
      this.#decide(attempt, members, others),
    )
    if (!committed) throw unusable({ kind: 'expired' })
    log.info('a node joins', { node: node.name, role: node.role, attempt: attempt.id })
    return { certificates, authorities: this.#parts.keys().authorities['cluster-ca'].certificate }
  }

  async #certify(node: JoinerNode, publicKeys: WorkerKeys | null): Promise<WorkerKeys> {
    const { keys, clock, random } = this.#parts
    if (publicKeys === null) throw new Mk8sError('usage', 'a worker must send its public keys')
    const authority = keys().authorities['cluster-ca']
    const { name: nodeName, address } = node
    return issueWorkerCertificates({ nodeName, addresses: [address], publicKeys, authority, clock, random })
  }

  async #mustReach({ address, ports }: JoinerNode, memberId: number): Promise<void> {
    const { bindAddress } = this.#parts
    const why = await this.#dial(memberId, { host: address, port: ports.raft })
    if (why === undefined) return
    const place = `${bracketed(address)}:${ports.raft}`
    throw new Mk8sError('refused', `the server at ${bindAddress} cannot reach the new node at ${place}`, {
      why,
      hint: `let TCP port ${ports.raft} through every firewall between the servers, or choose another --bind-address`,
    })
  }

  #dial(memberId: number, address: { host: string; port: number }): Promise<string | undefined> {
    const { clusterId, peerCredentials } = this.#parts
    const identity = peerIdentity(clusterId, memberName(memberId))
    return dialBack({ address, credentials: peerCredentials(), identity })
  }

  /** On what the transaction builds on: others may have joined since the attempt began. */
  #decide(
    attempt: JoinAttempt,
    members: readonly MemberRecord[],
    others: readonly JoinAttempt[],
  ): MemberRecord | null {
    const { node } = attempt
    const twin = members.find(
      ({ nodeName, peerAddresses }) =>
        nodeName === node.name ||
        (node.role === 'server' &&
          peerAddresses.some(({ host, port }) => host === node.address && port === node.ports.raft)),
    )
    if (twin !== undefined || rivalOf(others, { name: node.name, id: attempt.id }) !== undefined)
      throw new Mk8sError('refused', `a node of the name ${node.name} or of its address has just joined`, {
        hint: 'choose another --node-name and --bind-address',
      })
    return node.role === 'worker' ? null : this.#recordOf(attempt)
  }

  #recordOf({ memberId, node }: JoinAttempt): MemberRecord {
    const { name, address, ports, failureDomain } = node
    return {
      id: memberId,
      nodeName: name,
      peerAddresses: [{ host: address, port: ports.raft }],
      apiAddress: { host: address, port: ports.api },
      joinAddress: { host: address, port: ports.join },
      failureDomain,
      // The role keeper gives it the role that is free.
      role: 'spare',
      entryVersion: this.#parts.entryVersion,
      joinedAt: timeText(this.#parts.clock.now()),
      leaving: false,
    }
  }

  state(attempt: JoinAttempt): AttemptState {
    const { membership, cluster, nodes } = this.#parts
    const members = this.#ledger.members()
    const record = members.find(({ id }) => id === attempt.memberId)
    return {
      state: attempt.state,
      role: record?.role ?? null,
      ...placeOf(record, members, membership(), cluster.voters),
      nodeReady: nodes.presence(attempt.node.name) === 'ready',
    }
  }

  async confirm(attempt: JoinAttempt): Promise<void> {
    await this.#ledger.confirm(attempt.id)
    this.#parts.log.info('a node has joined', { node: attempt.node.name, version: MK8S_VERSION })
  }

  /** Returns once nothing is left of it, or a while has passed; then the leader goes on with it. */
  async abort(attemptId: string): Promise<void> {
    const { nodes, log } = this.#parts
    const attempt = await this.#ledger.abort(attemptId)
    if (attempt === undefined) return
    log.info('an attempt to join was taken back', { node: attempt.node.name, attempt: attempt.id })
    if (attempt.state === 'reserved') return
    await this.#waitUntilGone(attempt.memberId)
    const { name } = attempt.node
    if (!this.#ledger.members().some(({ nodeName }) => nodeName === name)) await nodes.remove(name)
  }

  async #waitUntilGone(memberId: number): Promise<void> {
    const { clock, log } = this.#parts
    const deadline = clock.monotonic() + LEAVING_MS_MAX
    while (this.#ledger.members().some(({ id }) => id === memberId)) {
      if (clock.monotonic() >= deadline) {
        log.warn('a member whose join failed is still leaving', { member: memberName(memberId) })
        return
      }
      await sleep(clock, LEAVING_POLL_MS)
    }
  }
}

/** Whether Raft has the member in the role of its record, and whether that is the role that it is going to keep. */
export function placeOf(
  record: MemberRecord | undefined,
  members: readonly MemberRecord[],
  { voters, outgoing, learners }: Configuration,
  votersWanted: number,
): Pick<AttemptState, 'inPlace' | 'settled'> {
  if (record === undefined) return { inPlace: false, settled: false }
  const held = record.role === 'voter' ? voters : learners
  const staying = members.filter(({ leaving }) => !leaving)
  const standbys = staying.filter(({ role }) => role === 'standby').length
  const inPlace = outgoing.length === 0 && held.includes(record.id)
  const mayRise =
    (record.role !== 'voter' && voters.length < votersFor(staying.length, votersWanted)) ||
    (record.role === 'spare' && standbys < STANDBYS_MAX)
  return { inPlace, settled: inPlace && !mayRise }
}

const knownMember = (record: MemberRecord): KnownMember => ({
  id: memberName(record.id),
  nodeName: record.nodeName,
  peerAddresses: record.peerAddresses,
  apiAddress: record.apiAddress,
  joinAddress: record.joinAddress,
})

function unusable(outcome: Exclude<Reservation, { token: unknown }> | Reservation): Mk8sError {
  const by = 'by' in outcome && outcome.by !== undefined ? ` (${outcome.by})` : ''
  const why = {
    expired: 'its time, or that of this attempt, is over',
    used: 'it has been used as often as it was good for',
    busy: 'too many nodes use it at this moment',
    reserved: `another node is joining with it at this moment${by}; it is free again when that fails`,
  }[outcome.kind as 'expired' | 'used' | 'busy' | 'reserved']
  return new Mk8sError('refused', 'the join token cannot be used', {
    why,
    hint: 'make another on a server: mk8s add-node',
  })
}

/** Nothing but what a new server needs: whoever calls may hold more, such as this server's own leaves. */
function serverKeysOf({ authorities, serviceAccount, secretsKey }: ServerKeys): ServerKeys {
  const { privateKey, publicKey } = serviceAccount
  return {
    authorities,
    serviceAccount: { privateKey, publicKey },
    ...(secretsKey === undefined ? {} : { secretsKey }),
  }
}
