/**
 * Random clusters in a random world: messages are lost, delayed, repeated and reordered, disks are slow,
 * members crash and lose what was not durable. Whatever happens: one leader per term, one log, and nothing
 * committed is ever lost. Then the world heals, and the cluster must make progress.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '../../../../src/base/random.ts'
import {
  createEntry,
  ENTRY_HEADER_BYTES,
  type Entry,
  entryTypes,
  writeEntryHeader,
} from '../../../../src/runtime/raft/entry.ts'
import { EntryGate } from '../../../../src/runtime/raft/entry-gate.ts'
import type { Message } from '../../../../src/runtime/raft/messages.ts'
import { Raft } from '../../../../src/runtime/raft/raft.ts'
import type { HardState, Ready } from '../../../../src/runtime/raft/ready.ts'

const SEEDS = Number(process.env['RAFT_SEEDS'] ?? 150)
const STEPS = 3000

class Member {
  readonly id: number
  readonly #world: World
  raft: Raft
  #hardState: HardState = { term: 0, vote: 0, commit: 0 }
  #durable: Entry[] = []
  #writes: Ready[] = []

  constructor(id: number, world: World) {
    this.id = id
    this.#world = world
    this.raft = this.#create()
  }

  #create(): Raft {
    const configuration = { voters: this.#world.ids, outgoing: [], learners: [] }
    const { random } = this.#world
    const commit = Math.min(this.#hardState.commit, this.#durable.length)
    const log = { previousIndex: 0, previousTerm: 0, configuration, entries: [...this.#durable], commit }
    return new Raft({ id: this.id, random, hardState: this.#hardState, log })
  }

  crash(): void {
    this.#writes = []
    this.raft = this.#create()
  }

  /** The oldest write becomes durable. */
  flush(): void {
    const ready = this.#writes.shift()
    if (ready === undefined) return
    if (ready.hardState !== null) this.#hardState = ready.hardState
    for (const entry of ready.entries) {
      this.#durable.length = entry.index - 1
      this.#durable.push(entry)
    }
    this.raft.persisted(ready.number)
    this.drain()
  }

  drain(): void {
    while (this.raft.hasReady) {
      const ready = this.raft.takeReady()
      this.#writes.push(ready)
      for (const message of ready.messages) this.#world.send(message)
      for (const entry of ready.committed) this.#world.checkApplied(this.id, entry)
      for (const { context, index } of ready.reads) this.#world.checkRead(context, index)
    }
    if (this.raft.role === 'leader') this.#world.checkLeader(this.id, this.raft.term)
  }
}

class World {
  readonly random: Random
  readonly ids: readonly number[]
  readonly members: readonly Member[]
  readonly #weights: readonly number[]
  readonly #leaders = new Map<number, number>()
  readonly #applied: string[] = []
  readonly #reads = new Map<number, number>()
  #underWay: Message[] = []
  #lossRate = 0
  #proposals = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    // Each seed has its own mix: deliver, tick, flush, propose, read, crash, loss.
    const upTo = (...weights: number[]) => weights.map(weight => weight * this.random.float())
    this.#weights = upTo(60, 20, 40, 10, 5, 3, 1)
    this.ids = [1, 2, 3, 4, 5].slice(0, this.pick(2) === 0 ? 3 : 5)
    this.members = this.ids.map(id => new Member(id, this))
  }

  get appliedCount(): number {
    return this.#applied.length
  }

  pick(below: number): number {
    return Math.floor(this.random.float() * below)
  }

  send(message: Message): void {
    if (this.random.float() >= this.#lossRate) this.#underWay.push(message)
  }

  checkLeader(id: number, term: number): void {
    assert.equal(this.#leaders.get(term) ?? id, id, `term ${term} has one leader`)
    this.#leaders.set(term, id)
  }

  checkApplied(id: number, entry: Entry): void {
    const text = `${entry.term} ${entry.bytes.toString('hex')}`
    assert.equal(
      this.#applied[entry.index - 1] ?? text,
      text,
      `entry ${entry.index} is the same at member ${id}`,
    )
    this.#applied[entry.index - 1] = text
  }

  /** Whatever had been applied anywhere when a read was asked must be covered by its answer. */
  checkRead(context: number, index: number): void {
    assert.ok(index >= (this.#reads.get(context) ?? 0), `read ${context} is not stale`)
  }

  chaos(): void {
    const member = this.members[this.pick(this.members.length)] as Member
    const actions = [
      () => this.#deliver(),
      () => member.raft.tick(1 + this.pick(20)),
      () => member.flush(),
      () => this.propose(member),
      () => this.#read(member),
      () => member.crash(),
      () => {
        this.#lossRate = this.pick(3) === 0 ? 0.9 : this.pick(2) * 0.3
      },
    ]
    let dice = this.random.float() * this.#weights.reduce((total, weight) => total + weight, 0)
    const chosen = this.#weights.findIndex(weight => {
      dice -= weight
      return dice < 0
    })
    actions[chosen]?.()
    member.drain()
  }

  #deliver(): void {
    const at = this.pick(Math.min(4, this.#underWay.length))
    const repeat = this.random.float() < 0.05
    const message = repeat ? this.#underWay[at] : this.#underWay.splice(at, 1)[0]
    if (message === undefined) return
    const member = this.members[message.to - 1] as Member
    member.raft.step(message)
    member.drain()
  }

  propose(member: Member): void {
    const text = `p${++this.#proposals}`
    const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + text.length)
    writeEntryHeader(bytes, 0, { type: entryTypes.transaction, payloadBytes: text.length })
    bytes.write(text, ENTRY_HEADER_BYTES)
    member.raft.propose([bytes])
  }

  #read(member: Member): void {
    const context = this.#reads.size + 1
    this.#reads.set(context, this.#applied.length)
    member.raft.readIndex(context)
  }

  /** Everything works again for a while: somebody leads and commits. */
  heal(): void {
    this.#lossRate = 0
    const before = this.appliedCount
    for (let round = 0; round < 400; round++) {
      for (const member of this.members) {
        member.raft.tick(1)
        member.drain()
        for (let n = 0; n < 20; n++) member.flush()
      }
      for (let n = this.#underWay.length; n > 0; n--) {
        const message = this.#underWay.shift() as Message
        const member = this.members[message.to - 1] as Member
        member.raft.step(message)
        member.drain()
      }
      for (const member of this.members) if (round % 50 === 0) this.propose(member)
    }
    assert.ok(this.appliedCount > before, 'a healed cluster makes progress')
    const logs = this.members.map(({ raft }) => raft.log.committed)
    assert.equal(new Set(logs).size, 1, `all members have committed the same: ${logs.join(' ')}`)
  }
}

test('a random world never breaks the promises of consensus', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(seed)
    try {
      for (let step = 0; step < STEPS; step++) world.chaos()
      world.heal()
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error })
    }
  }
})

test('an entry written twice at one place is durable only when the second write is', () => {
  const random = seededRandom(1)
  const configuration = { voters: [1, 2, 3], outgoing: [], learners: [] }
  const log = { previousIndex: 0, previousTerm: 0, configuration, entries: [], commit: 0 }
  const raft = new Raft({ id: 1, random, hardState: { term: 1, vote: 0, commit: 0 }, log })
  const entry = (term: number) => createEntry(entryTypes.noOp, Buffer.alloc(0), { index: 1, term })
  const append = (from: number, term: number, entryTerm: number) =>
    raft.step({
      type: 'append',
      from,
      to: 1,
      term,
      previousIndex: 0,
      previousTerm: 0,
      entries: [entry(entryTerm)],
      commit: 0,
      attempt: 1,
    })
  append(2, 1, 1)
  const first = raft.takeReady()
  append(3, 2, 2)
  const second = raft.takeReady()
  append(2, 3, 1)
  const third = raft.takeReady()
  raft.persisted(first.number)
  assert.equal(raft.log.stable, 0)
  raft.persisted(second.number)
  assert.equal(raft.log.stable, 0)
  raft.persisted(third.number)
  assert.equal(raft.log.stable, 1)
})

test('a snapshot that was received whole is not replaced by another one before it is the state', () => {
  const configuration = { voters: [1, 2, 3], outgoing: [], learners: [] }
  const log = { previousIndex: 0, previousTerm: 0, configuration, entries: [], commit: 0 }
  const raft = new Raft({ id: 3, random: seededRandom(1), hardState: { term: 1, vote: 0, commit: 0 }, log })
  const send = (id: number, index: number) => {
    const snapshot = { id, index, term: 1, configuration }
    const chunk = { snapshot, offset: 0, data: Buffer.from('all of it'), last: true }
    raft.step({ type: 'snapshot', from: 1, to: 3, term: 1, chunk })
    const ready = raft.takeReady()
    raft.persisted(ready.number)
    return ready.snapshotChunks.length
  }
  assert.equal(send(7, 10), 1)
  raft.snapshotStored(7, 9)
  assert.equal(raft.takeReady().restore?.index, 10)
  assert.equal(send(8, 20), 0)
  raft.setInstalling(false)
  assert.equal(send(8, 20), 1)
})

test('an entry of a type or format beyond the cluster version is not proposed, until that is raised', () => {
  const configuration = { voters: [1], outgoing: [], learners: [] }
  const log = { previousIndex: 0, previousTerm: 0, configuration, entries: [], commit: 0 }
  const entryVersions = new Map([
    [entryTypes.transaction, [1, 2]],
    [entryTypes.decision, [3]],
  ])
  const start = { id: 1, random: seededRandom(1), hardState: { term: 1, vote: 0, commit: 0 }, log }
  const raft = new Raft({ ...start, entryVersions })
  raft.start()
  raft.persisted(raft.takeReady().number)
  const propose = (type: number, format = 1) => {
    const bytes = Buffer.from(createEntry(entryTypes.noOp, Buffer.alloc(0), { index: 0, term: 0 }).bytes)
    bytes.writeUInt8(type, 0)
    bytes.writeUInt8(format, 1)
    return raft.propose([bytes])
  }
  assert.equal(propose(entryTypes.transaction).kind, 'accepted')
  assert.deepEqual(propose(entryTypes.transaction, 2), { kind: 'too-new', needs: 2 })
  assert.deepEqual(propose(entryTypes.decision), { kind: 'too-new', needs: 3 })
  raft.entryGate.raise(2)
  assert.equal(propose(entryTypes.transaction, 2).kind, 'accepted')
  assert.deepEqual(propose(entryTypes.decision), { kind: 'too-new', needs: 3 })
  raft.entryGate.raise(3)
  raft.entryGate.raise(1)
  assert.equal(propose(entryTypes.decision).kind, 'accepted')
  assert.deepEqual(propose(99), { kind: 'too-new', needs: Number.POSITIVE_INFINITY })
})

test('everything that this program writes may be proposed in a new cluster', () => {
  const gate = new EntryGate()
  for (const type of Object.values(entryTypes)) {
    assert.equal(gate.refuse([createEntry(type, Buffer.alloc(0), { index: 0, term: 0 }).bytes]), null)
  }
})
