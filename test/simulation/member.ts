/**
 * One member through all its lives: production core, write-ahead log, driver and state machine, on a simulated
 * disk, network and clock. A crash ends a life; the next one has what the disk kept.
 */

import { AssertionFailure, must } from '../../src/base/assert.ts'
import type { Clock } from '../../src/base/clock.ts'
import { Mk8sError } from '../../src/base/errors.ts'
import { type Log, silentLog } from '../../src/base/log.ts'
import type { MemberId, SnapshotChunk } from '../../src/runtime/raft/messages.ts'
import type { Raft } from '../../src/runtime/raft/raft.ts'
import type { SnapshotRead } from '../../src/runtime/raft/ready.ts'
import { Replica, type SnapshotBytes } from '../../src/runtime/store/replica.ts'
import { startCore } from '../../src/runtime/store/start-core.ts'
import type { FromRaft } from '../../src/runtime/store/thread-messages.ts'
import type { Checkers } from './checkers/checkers.ts'
import { SimulatedDisk } from './disk.ts'
import type { Network } from './network.ts'
import type { SimulationOptions } from './options.ts'
import { SimStore, splitEntries } from './sim-store.ts'
import type { World } from './world.ts'

const CLUSTER = Buffer.alloc(16, 7)
const PIECE_BYTES = 2048
const MUCH_BYTES = 1024 * 1024
/** How often somebody looks whether a moment is the worst. */
const LOOK_MS = 2

export interface MemberParts {
  readonly world: World
  readonly options: SimulationOptions
  readonly network: Network
  readonly checkers: Checkers
  readonly joins: boolean
  /** A leader makes a snapshot for a member. */
  readonly onSnapshot: (leader: MemberId, to: MemberId) => void
  /** A member begins to store the end of a snapshot; how long that takes at most on top of the usual. */
  readonly storesLate: (member: Member) => number
}

/** A snapshot is the entries that made the state. */
interface Saved {
  readonly index: number
  readonly entries: readonly Buffer[]
}

export class Member {
  readonly id: MemberId
  readonly disk: SimulatedDisk
  /** How much of its log it keeps in memory for others. */
  readonly keptBytes: number
  readonly #parts: MemberParts
  readonly #rate: number
  /** What its database holds, durably. */
  #database: Saved = { index: 0, entries: [] }
  /** A snapshot that was received whole but is not the database yet. */
  #received: Saved | null = null
  #pausedUntil = 0
  /** What waits until it goes on. */
  #missed: (() => void)[] = []
  life: Life | null = null
  /** It found its disk damaged and stays down. */
  broken = false
  #rotten = false
  lives = 0

  constructor(id: MemberId, parts: MemberParts) {
    this.id = id
    this.#parts = parts
    this.disk = new SimulatedDisk(parts.world, parts.options, id)
    const { drift, keptBytes, keepsMore } = parts.options
    this.keptBytes = parts.world.chance('kept', keepsMore) ? MUCH_BYTES : keptBytes
    this.#rate = parts.world.between('drift', 1 - drift, 1 + drift)
    parts.network.attach(id, (from, message) =>
      this.whenAwake(() => this.life?.replica?.receive(message, from)),
    )
  }

  get running(): boolean {
    return this.life?.replica !== null && this.life !== null
  }

  start(): void {
    if (this.life !== null || this.broken) return
    const { world } = this.#parts
    this.lives++
    const life = new Life(this, this.#parts, this.#database)
    this.life = life
    world.trace(() => `member ${this.id} starts, with ${this.#database.index} entries applied`)
    life.open(this.#received).then(
      installed => {
        if (!life.alive) return
        if (this.#rotten) world.fail(new Error(`member ${this.id} started on a rotten log`))
        if (installed !== null) this.save(installed)
        this.#received = null
      },
      error => this.#startFailed(life, error),
    )
  }

  #startFailed(life: Life, error: unknown): void {
    const { world } = this.#parts
    if (!life.alive) return
    if (error instanceof Mk8sError && error.code === 'store/corrupt' && this.#rotten) {
      world.trace(() => `member ${this.id} refuses its log: ${error.message}`)
      this.broken = true
      this.crash('kill')
    } else if (error instanceof Error && error.message.startsWith('EIO')) {
      this.crash('power')
    } else world.fail(error)
  }

  crash(how: 'kill' | 'power'): void {
    if (this.life === null) return
    this.#parts.world.trace(() => `member ${this.id} crashes (${how})`)
    this.life.end()
    this.life = null
    if (how === 'power') this.disk.cutPower()
  }

  get rotten(): boolean {
    return this.#rotten
  }

  /** Damages the log of a member that is down; its next start has to notice. */
  rot(): boolean {
    if (this.life === null && !this.#rotten) this.#rotten = this.disk.rot()
    return this.#rotten
  }

  pause(duration: number): void {
    const { world } = this.#parts
    world.trace(() => `member ${this.id} hangs for ${duration.toFixed(0)} ms`)
    this.#pausedUntil = Math.max(this.#pausedUntil, world.now + duration)
  }

  wake(): void {
    this.#pausedUntil = 0
    this.#goOn()
  }

  /** Nothing happens in a process that hangs; it happens, in the same order, as soon as it goes on. */
  whenAwake(act: () => void): void {
    if (this.#parts.world.now >= this.#pausedUntil && this.#missed.length === 0) act()
    else if (this.#missed.push(act) === 1) this.#goOnLater()
  }

  #goOnLater(): void {
    this.#parts.world.at(this.#pausedUntil, () => this.#goOn())
  }

  #goOn(): void {
    const { world } = this.#parts
    for (let act = this.#missed[0]; act !== undefined; act = this.#missed[0]) {
      if (world.now < this.#pausedUntil) {
        this.#goOnLater()
        return
      }
      act()
      this.#missed.shift()
    }
  }

  save(saved: Saved): void {
    if (saved.index > this.#database.index) this.#database = saved
  }

  /** The pieces of a snapshot are durable, and so is their end. */
  receive(saved: Saved): void {
    this.#received = saved
  }

  get received(): Saved | null {
    return this.#received
  }

  createClock(isAlive: () => boolean): Clock {
    const { world } = this.#parts
    const start = world.between('drift', 0, 1e6)
    const bornAt = world.now
    const monotonic = () => start + (world.now - bornAt) * this.#rate
    return {
      monotonic,
      now: monotonic,
      after: (delay, run) => world.after(delay / this.#rate, () => this.whenAwake(() => isAlive() && run())),
    }
  }
}

class Life {
  readonly #member: Member
  readonly #parts: MemberParts
  readonly store: SimStore
  replica: Replica | null = null
  raft: Raft | null = null
  alive = true
  readonly clock: Clock
  #snapshots = new Map<number, { readonly index: number; readonly bytes: Buffer }>()
  #incoming: { readonly id: number; pieces: Buffer[] } | null = null
  #stored = Promise.resolve()
  #checkpointing = false

  constructor(member: Member, parts: MemberParts, saved: Saved) {
    this.#member = member
    this.#parts = parts
    this.clock = member.createClock(() => this.alive)
    const proposer = 1 + Math.floor(parts.world.random('proposers').float() * 2 ** 47)
    this.store = new SimStore({
      clock: this.clock,
      proposer,
      post: requests => this.#guard(() => this.replica?.request(requests)),
      saved: saved.entries,
      onEntry: entry => parts.checkers.applying(member.id, entry),
      onApplied: (index, store) => parts.checkers.applied(member.id, index, store),
    })
  }

  /** Into the trace. */
  get #log(): Log {
    const { world } = this.#parts
    const trace = (message: string, fields = {}) =>
      world.trace(() => `member ${this.#member.id}: ${message} ${JSON.stringify(fields)}`)
    return { ...silentLog, info: trace, warn: trace, error: trace }
  }

  async open(received: Saved | null): Promise<Saved | null> {
    const { options, world, network, joins } = this.#parts
    const { id, disk } = this.#member
    const started = await startCore({
      log: {
        disk: disk.open(
          () => this.alive,
          delay => this.#wait(delay),
        ),
        random: world.random(`log ${id}`),
        clock: this.clock,
        log: this.#log,
        identity: { member: id, cluster: CLUSTER },
        onFailed: error => this.#onFailed(error),
        segmentBytes: options.segmentBytes,
      },
      member: id,
      applied: this.store.applied,
      received: received?.index ?? 0,
      joins,
      tuning: { rules: options.rules, keptBytes: this.#member.keptBytes, appendBytes: options.appendBytes },
    })
    if (!this.alive) return null
    const installed = started.mustInstall ? received : null
    if (installed !== null) this.store.install(installed.entries)
    this.raft = started.raft
    this.replica = new Replica({
      raft: started.raft,
      wal: started.wal,
      clock: this.clock,
      log: this.#log,
      // Another thread hears of it a little later.
      post: message => void world.after(0.05, () => this.#member.whenAwake(() => this.#onRaft(message))),
      defer: work => void world.after(0, () => this.#member.whenAwake(() => this.#guard(work))),
      network: {
        connectTo: () => {},
        reaches: () => true,
        send: (to, message) => network.send(id, to, message),
      },
      snapshots: {
        read: (read, done) => void world.after(1, () => this.#guard(() => done(this.#readSnapshot(read)))),
        // One after the other, as the thread that stores them does.
        store: (chunk, done) => {
          const store = () => this.#guard(() => this.#storeChunk(chunk, done))
          this.#stored = this.#stored.then(() => this.#storing(chunk)).then(store)
        },
      },
    })
    this.replica.start()
    if (installed !== null) this.replica.installed()
    return installed
  }

  end(): void {
    this.alive = false
    this.replica?.stop()
    this.store.end(new Mk8sError('store/outcome-unknown', 'the member crashed'))
  }

  /** Nothing of a life happens after its end; what goes wrong in it is the run's violation. */
  #guard(act: () => void): void {
    if (!this.alive) return
    try {
      act()
    } catch (error) {
      this.#parts.world.fail(error)
    }
  }

  /** Never ends when the life does before. */
  #wait(delay: number): Promise<void> {
    return new Promise(resolve => {
      this.#parts.world.after(delay, () => this.#member.whenAwake(() => this.alive && resolve()))
    })
  }

  #onFailed(error: Mk8sError): void {
    if (!this.alive) return
    const { world } = this.#parts
    if (error.cause instanceof AssertionFailure || !`${error.why}`.startsWith('EIO'))
      world.fail(error.cause ?? error)
    else this.#member.crash('power')
  }

  #onRaft(message: FromRaft): void {
    this.#guard(() => {
      if (message.type === 'restored') this.#restore(message.index)
      if (message.type !== 'progress') return
      this.store.onProgress(message)
      if (message.committed !== null) this.replica?.taken(message.committed.byteLength)
      this.#maybeCheckpoint()
    })
  }

  #maybeCheckpoint(): void {
    if (this.#checkpointing) return
    this.#checkpointing = true
    this.clock.after(this.#parts.options.checkpointEvery, () => {
      this.#checkpointing = false
      const { applied, entries } = this.store
      this.#member.save({ index: applied, entries: entries.slice() })
      this.replica?.drop(applied)
    })
  }

  #readSnapshot({ id, offset, to }: SnapshotRead): SnapshotBytes | null {
    let snapshot = this.#snapshots.get(id)
    let key = id
    if (!snapshot) {
      const { applied, entries } = this.store
      key = 1 + Math.floor(this.#parts.world.random('snapshots').float() * 2 ** 47)
      snapshot = { index: applied, bytes: Buffer.concat(entries) }
      if (this.#snapshots.size > 32) this.#snapshots.clear()
      this.#snapshots.set(key, snapshot)
      this.#parts.onSnapshot(this.#member.id, to)
    }
    const start = key === id ? offset : 0
    const end = Math.min(snapshot.bytes.length, start + PIECE_BYTES)
    const data = snapshot.bytes.subarray(start, end)
    return { id: key, index: snapshot.index, offset: start, data, last: end === snapshot.bytes.length }
  }

  /** Storing the end takes long at times, and then ends at the worst moment if there is one. */
  async #storing({ snapshot, last }: SnapshotChunk): Promise<void> {
    const { options, world, storesLate } = this.#parts
    await this.#wait(options.flush)
    const late = last ? storesLate(this.#member) : 0
    if (late === 0) return
    world.trace(() => `member ${this.#member.id} stores the end of snapshot ${snapshot.id} late`)
    const until = world.now + late
    while (world.now < until && !this.#isOvertaken(snapshot.index)) await this.#wait(LOOK_MS)
    if (world.now < until) world.trace(() => `entries overtake snapshot ${snapshot.id}`)
    // Whoever sent those may have heard that they are here, and this member not yet that they are committed.
    const { latency, latencyFloor } = options
    await this.#wait(world.between('late stores', 0, 2 * (latency + latencyFloor)))
  }

  /** Somebody else has sent entries behind the snapshot, and nobody has said yet that those before are committed. */
  #isOvertaken(index: number): boolean {
    const { log } = must(this.raft, 'a core that receives snapshots')
    return log.stable > index && log.committed < index
  }

  #storeChunk({ snapshot, offset, data, last }: SnapshotChunk, done: (sound: boolean) => void): void {
    if (offset === 0) this.#incoming = { id: snapshot.id, pieces: [] }
    if (this.#incoming?.id !== snapshot.id) return
    this.#incoming.pieces.push(data)
    if (last) {
      const entries = splitEntries(Buffer.concat(this.#incoming.pieces))
      this.#member.receive({ index: snapshot.index, entries })
    }
    done(true)
  }

  #restore(index: number): void {
    const { received } = this.#member
    if (received?.index !== index) throw new Error(`the snapshot behind ${index} is not there`)
    this.#parts.world.trace(() => `member ${this.#member.id} installs a snapshot of ${index} entries`)
    this.store.install(received.entries)
    this.#member.save(received)
    this.#parts.checkers.installed(this.#member.id, this.store)
    this.replica?.installed()
  }
}
