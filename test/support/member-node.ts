/** The datastore part of a server in this process: a real engine with links, the directory of peers, the role keeper. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { MemberAnswer } from '../../src/runtime/members/member-answer.ts'
import {
  encodeMember,
  type MemberRecord,
  memberKey,
  memberName,
} from '../../src/runtime/members/member-record.ts'
import { createMemberStatus, type MemberStatus } from '../../src/runtime/members/member-status.ts'
import { readMembers } from '../../src/runtime/members/member-table.ts'
import { createPeerDirectory, type PeerDirectory } from '../../src/runtime/members/peer-directory.ts'
import { createRoleKeeper, type RoleKeeper } from '../../src/runtime/members/role-keeper.ts'
import { stepDown } from '../../src/runtime/members/step-down.ts'
import { peerIdentity } from '../../src/runtime/pki/authorities.ts'
import { generateKey, issueAuthority, issueLeaf, type PemPair } from '../../src/runtime/pki/issue.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'
import type { RaftStore } from '../../src/runtime/store/raft-store.ts'

const DAY_MS = 24 * 60 * 60 * 1_000
const signal = new AbortController().signal

export class MemberCluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'mk8s-members-'))
  readonly clusterId = systemRandom.uuid()
  readonly nodes = new Map<number, MemberNode>()
  readonly deletedNodes: string[] = []
  votersWanted = 3
  #authority: PemPair | null = null
  readonly #network = 64 + (process.pid % 64)

  addressOf(id: number): { host: string; port: number } {
    return { host: `127.${this.#network}.77.${id}`, port: 19001 }
  }

  async add(id: number, failureDomain = ''): Promise<MemberNode> {
    this.#authority ??= await issueAuthority('mk8s-peer-ca', validity(), systemRandom)
    const node = new MemberNode(this, id, failureDomain, await issuePeer(this.#authority, this.clusterId, id))
    if (id !== 1) await this.someNode().writeRecord(node.record)
    this.nodes.set(id, node)
    await node.start()
    return node
  }

  get authorityPem(): string {
    return this.#authority?.certificate ?? ''
  }

  /** One that runs. */
  someNode(): MemberNode {
    const node = [...this.nodes.values()].find(each => each.running)
    if (node === undefined) throw new Error('no member runs')
    return node
  }

  get leader(): MemberNode | undefined {
    return [...this.nodes.values()].find(each => each.running && each.store.status().leader)
  }

  /** `voters | standbys | spares`, as the records have it. */
  roles(): string {
    const records = this.leader?.records() ?? []
    const of = (role: string) => records.filter(each => each.role === role).map(({ id }) => id)
    return [of('voter'), of('standby'), of('spare')].map(ids => ids.join(',')).join(' | ')
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.values()].map(node => node.stop()))
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export class MemberNode {
  readonly id: number
  readonly record: MemberRecord
  removed = false
  running = false
  readonly #cluster: MemberCluster
  readonly #leaf: PemPair
  #store: RaftStore | null = null
  #directory: PeerDirectory | null = null
  #status: MemberStatus | null = null
  #keeper: RoleKeeper | null = null
  #unsubscribe = () => {}

  constructor(cluster: MemberCluster, id: number, failureDomain: string, leaf: PemPair) {
    this.#cluster = cluster
    this.id = id
    this.#leaf = leaf
    const at = cluster.addressOf(id)
    this.record = {
      id,
      nodeName: `n${id}`,
      peerAddresses: [at],
      apiAddress: { ...at, port: 16443 },
      joinAddress: { ...at, port: 25000 },
      failureDomain,
      role: 'spare',
      entryVersion: 1,
      joinedAt: new Date(id * 1_000).toISOString(),
      leaving: false,
    }
  }

  get store(): RaftStore {
    if (this.#store === null) throw new Error(`member ${this.id} does not run`)
    return this.#store
  }

  get status(): MemberStatus {
    if (this.#status === null) throw new Error(`member ${this.id} does not run`)
    return this.#status
  }

  records(): readonly MemberRecord[] {
    return readMembers(this.store).map(({ record }) => record)
  }

  async writeRecord(record: MemberRecord): Promise<void> {
    const operations = [{ type: 'put', key: memberKey(record.id), value: encodeMember(record) }] as const
    await this.store.transact({ compares: [], operations })
  }

  async start(): Promise<void> {
    const { directory, clusterId, authorityPem, nodes } = this.#cluster
    const others = [...nodes.values()].filter(({ id }) => id !== this.id)
    const store = await openRaftStore({
      directory: join(directory, String(this.id)),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      clusterId,
      memberId: this.id,
      joins: this.id !== 1,
      peers: {
        credentials: { ...this.#leaf, authority: authorityPem },
        listen: this.#cluster.addressOf(this.id),
        identityOf: member => peerIdentity(clusterId, memberName(member)),
        known: others.map(({ id }) => ({ member: id, addresses: [this.#cluster.addressOf(id)] })),
      },
      onFatal: error => {
        throw error
      },
    })
    this.#store = store
    this.running = true
    await this.#begin(store)
  }

  async #begin(store: RaftStore): Promise<void> {
    const status = createMemberStatus({
      store,
      own: this.record,
      version: '0.1.0',
      client: { ask: record => this.#ask(record.id) },
      settled: () => this.#keeper?.settled ?? null,
      clock: systemClock,
    })
    this.#status = status
    const { role: _role, joinedAt: _joinedAt, leaving: _leaving, ...own } = this.record
    this.#directory = createPeerDirectory({
      store,
      own,
      founding: this.id === 1,
      isForgotten: (records, ends) => status.isForgotten(records, ends),
      onRemoved: () => {
        this.removed = true
      },
      clock: systemClock,
      log: silentLog,
    })
    await this.#directory.start(signal)
    this.#unsubscribe = store.onLeadership(() => void this.#lead())
    await this.#lead()
  }

  async #lead(): Promise<void> {
    const old = this.#keeper
    this.#keeper = null
    await old?.stop()
    const { leader, term } = this.store.leadership
    if (!leader || !this.running || this.#keeper !== null) return
    const { votersWanted, deletedNodes } = this.#cluster
    const deleteNode = async (name: string) => void deletedNodes.push(name)
    const parts = { store: this.store, term, votersWanted, deleteNode, clock: systemClock, log: silentLog }
    this.#keeper = createRoleKeeper(parts)
    await this.#keeper.start(signal)
  }

  /** As over HTTPS: whoever does not run does not answer. */
  async #ask(id: number): Promise<MemberAnswer> {
    const other = this.#cluster.nodes.get(id)
    if (!other?.running) throw new Error(`${id} does not answer`)
    return other.status.self()
  }

  /** As the daemon does when it is told to. */
  async stopInOrder(): Promise<void> {
    const { store, status } = this
    const directory = must(this.#directory, 'a directory of peers')
    await stepDown({ store, directory, ask: status.ask, clock: systemClock, log: silentLog })
    await this.stop()
  }

  async stop(): Promise<void> {
    if (!this.running) return
    this.running = false
    this.#unsubscribe()
    await this.#keeper?.stop()
    this.#keeper = null
    await this.#directory?.stop()
    await this.store.close()
  }
}

const validity = () => ({ notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) })

async function issuePeer(authority: PemPair, clusterId: string, id: number): Promise<PemPair> {
  const key = generateKey()
  const plan = {
    name: 'peer',
    authority: 'peer-ca',
    commonName: `member-${id}`,
    usages: ['client', 'server'],
    dnsNames: ['localhost'],
    ipAddresses: [],
    uris: [peerIdentity(clusterId, memberName(id))],
  } as const
  const certificate = await issueLeaf(plan, { authority, key, validity: validity(), random: systemRandom })
  return { certificate, key }
}
