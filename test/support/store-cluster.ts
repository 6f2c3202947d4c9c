/** Several members of one datastore, each in a process of its own, on loopback addresses or in network namespaces. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemRandom } from '../../src/base/random.ts'
import { peerIdentity } from '../../src/runtime/pki/authorities.ts'
import { generateKey, issueAuthority, issueLeaf, type PemPair } from '../../src/runtime/pki/issue.ts'
import type { Membership } from '../../src/runtime/raft/membership.ts'
import type { PeerAddress, PeerCredentials } from '../../src/runtime/store/peers/peer-network.ts'
import type { PeerLocation, StoreStatus } from '../../src/runtime/store/raft-store.ts'
import { StoreMember } from './store-member.ts'
import type { OpenOptions } from './store-member-protocol.ts'
import { until } from './until.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const PEER_PORT = 19001
/** Whoever does not answer so long stands still. */
const QUICK_MS = 250
/** How many clusters one process may make, each with addresses of its own. */
const CLUSTERS_MAX = 64
let clusters = 0

export interface ClusterOptions {
  readonly size: number
  /** Where the cluster's own directory is made, the system's temporary one otherwise; it goes when the cluster closes. */
  readonly directory?: string
  /** Where each member runs and listens; loopback addresses of this process otherwise. */
  readonly places?: readonly MemberPlace[]
  /** For members that serve etcd's API, too. */
  readonly etcd?: boolean
  /** The directory of one member, where it is not the usual one. */
  readonly directoryOf?: (id: number) => string
  /** Where member `from` finds member `to`, when it is not where that one listens. */
  readonly route?: (from: number, to: number, address: PeerAddress) => PeerAddress
}

export interface MemberPlace {
  readonly address: string
  /** A command that begins a program there. */
  readonly prefix: readonly string[]
}

/** Addresses that no other cluster of this machine has, so that many can run at a time. */
function loopbackPlaces(size: number): MemberPlace[] {
  const cluster = clusters++ % CLUSTERS_MAX
  return Array.from({ length: size }, (_, at) => ({
    address: `127.${64 + cluster}.${(process.pid >> 5) & 0xff}.${((process.pid & 0x1f) << 3) + at + 1}`,
    prefix: [],
  }))
}

export class StoreCluster {
  /** Ids are 1 to the size, and never end in the array. */
  readonly members: readonly StoreMember[]
  readonly directory: string
  readonly clusterId: string
  readonly #places: readonly MemberPlace[]
  readonly #options: ClusterOptions

  private constructor(options: ClusterOptions, clusterId: string, credentials: readonly PeerCredentials[]) {
    this.#options = options
    this.clusterId = clusterId
    this.directory = mkdtempSync(join(options.directory ?? tmpdir(), 'mk8s-cluster-'))
    this.#places = options.places ?? loopbackPlaces(options.size)
    this.members = credentials.map((own, at) => this.#newMember(at + 1, own))
  }

  /** Nothing runs yet. */
  static async create(options: ClusterOptions): Promise<StoreCluster> {
    const clusterId = systemRandom.uuid()
    const authority = await issueAuthority('mk8s-peer-ca', validity(), systemRandom)
    const ids = Array.from({ length: options.size }, (_, at) => at + 1)
    const credentials = await Promise.all(ids.map(id => issuePeer(authority, clusterId, id)))
    return new StoreCluster(options, clusterId, credentials)
  }

  /** All members run, the first `voters` of them vote and the others learn, and somebody leads. */
  static async start(options: ClusterOptions, voters = options.size): Promise<StoreCluster> {
    const cluster = await StoreCluster.create(options)
    try {
      await cluster.form(voters)
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  member(id: number): StoreMember {
    const found = this.members[id - 1]
    if (found === undefined) throw new Error(`there is no member ${id}`)
    return found
  }

  /** Whose process is there. */
  get alive(): readonly StoreMember[] {
    return this.members.filter(({ alive }) => alive)
  }

  /** Whose store is open, too; some of them may stand still. */
  get serving(): readonly StoreMember[] {
    return this.members.filter(({ serving }) => serving)
  }

  addressOf(id: number): string {
    return this.#places[id - 1]?.address ?? ''
  }

  async form(voters: number): Promise<void> {
    const ids = this.members.map(({ id }) => id)
    await this.member(1).start()
    await Promise.all(this.members.slice(1).map(member => member.start()))
    if (ids.length === 1) return
    const learners = ids.slice(voters)
    await this.changeMembership({ voters: [1], learners: ids.slice(1) })
    await this.changeMembership({ voters: ids.slice(0, voters), learners })
  }

  /** Asks whoever leads until the change is in force everywhere that it can be. */
  async changeMembership(target: Membership): Promise<void> {
    await until(`the membership is ${JSON.stringify(target)}`, async () => {
      const leader = await this.leader()
      const { membership } = await leader.call('status')
      if (isReached(membership, target)) return true
      if (membership.outgoing.length > 0) return false
      await leader.call('changeMembership', target)
      return false
    })
  }

  /** Whoever leads, as soon as a majority of those that run and answer say so of the same one. */
  leader(deadlineMs?: number): Promise<StoreMember> {
    const find = async () => {
      const statuses = await Promise.all(this.serving.map(member => quickStatus(member)))
      const known = statuses.filter(status => status !== null)
      const leading = known.filter(status => status.leader).sort((a, b) => b.term - a.term)[0]
      if (leading === undefined) return null
      const voters = known.filter(({ memberId }) => leading.membership.voters.includes(memberId))
      const agreeing = voters.filter(({ leaderMemberId }) => leaderMemberId === leading.memberId)
      const needed = Math.floor(leading.membership.voters.length / 2) + 1
      return agreeing.length >= needed ? this.member(leading.memberId) : null
    }
    return until('somebody leads', find, deadlineMs)
  }

  async followers(): Promise<StoreMember[]> {
    const leader = await this.leader()
    return this.serving.filter(member => member !== leader)
  }

  /** Every member that serves has applied what the others have. */
  async settle(deadlineMs?: number): Promise<void> {
    await until(
      'all members have the same state',
      async () => {
        await Promise.all(this.serving.map(member => member.call('barrier')))
        const statuses = await Promise.all(this.serving.map(member => member.call('status')))
        return new Set(statuses.map(({ applied }) => applied)).size === 1
      },
      deadlineMs,
    )
  }

  /** Ends every process and removes what they wrote. */
  async close(): Promise<void> {
    await Promise.all(this.members.map(member => member.kill()))
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Where `from` finds the others. */
  knownTo(from: number): PeerLocation[] {
    const { route } = this.#options
    return this.#places.flatMap(({ address: host }, at) => {
      const to = at + 1
      if (to === from) return []
      const address = { host, port: PEER_PORT }
      return [{ member: to, addresses: [route?.(from, to, address) ?? address] }]
    })
  }

  #newMember(id: number, credentials: PeerCredentials): StoreMember {
    const directory = this.#options.directoryOf?.(id) ?? join(this.directory, `${id}`)
    mkdirSync(directory, { recursive: true })
    const options: OpenOptions = {
      directory: join(directory, 'datastore'),
      clusterId: this.clusterId,
      memberId: id,
      joins: id !== 1,
      peers: {
        credentials,
        listen: { host: this.addressOf(id), port: PEER_PORT },
        known: this.knownTo(id),
      },
      etcdSocket: this.#options.etcd === true ? join(directory, 'etcd.sock') : null,
      logLevel: 'info',
    }
    return new StoreMember(options, this.#places[id - 1]?.prefix ?? [])
  }
}

/** What a member proves itself with, as the daemon's are issued. */
async function issuePeer(authority: PemPair, clusterId: string, id: number): Promise<PeerCredentials> {
  const key = generateKey()
  const plan = {
    name: 'peer',
    authority: 'peer-ca',
    commonName: `member ${id}`,
    usages: ['client', 'server'],
    dnsNames: [],
    ipAddresses: [],
    uris: [peerIdentity(clusterId, id.toString(16))],
  } as const
  const certificate = await issueLeaf(plan, { authority, key, validity: validity(), random: systemRandom })
  return { key, certificate, authority: authority.certificate }
}

function validity() {
  return { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) }
}

/** Null of a member that stands still, or is just ending. */
async function quickStatus(member: StoreMember): Promise<StoreStatus | null> {
  const { promise, resolve } = Promise.withResolvers<null>()
  const timer = setTimeout(() => resolve(null), QUICK_MS)
  try {
    return await Promise.race([member.call('status'), promise])
  } catch {
    return null
  } finally {
    clearTimeout(timer)
  }
}

function isReached(membership: StoreStatus['membership'], { voters, learners }: Membership): boolean {
  const same = (one: readonly number[], other: readonly number[]) =>
    one.length === other.length && one.every(id => other.includes(id))
  return (
    membership.outgoing.length === 0 && same(membership.voters, voters) && same(membership.learners, learners)
  )
}
