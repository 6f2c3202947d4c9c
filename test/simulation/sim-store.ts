/**
 * The main thread of a simulated member: the production state machine, watches, request queue and lease keeper
 * behind the Store interface. Its "database" is the list of entries that made the state.
 */
import { must } from '../../src/base/assert.ts'
import type { Clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { ENTRY_HEADER_BYTES, entryTypes, readEntryHeader } from '../../src/runtime/raft/entry.ts'
import { LocalStore } from '../../src/runtime/store/local-store.ts'
import { readCommand, sizeOfCommand, writeCommand } from '../../src/runtime/store/mvcc/codec.ts'
import type { Command, CommandResult } from '../../src/runtime/store/mvcc/command.ts'
import { StateMachine } from '../../src/runtime/store/mvcc/state-machine.ts'
import { RequestQueue } from '../../src/runtime/store/request-queue.ts'
import type { TransactionOptions } from '../../src/runtime/store/store.ts'
import type { FromRaft, RaftRequests, RaftThreadStatus } from '../../src/runtime/store/thread-messages.ts'

export interface SimStoreParts {
  readonly clock: Clock
  readonly proposer: number
  readonly post: (requests: RaftRequests) => void
  /** Entries that the state was saved with. */
  readonly saved: readonly Buffer[]
  /** Before an entry is applied, and so before anybody hears of it; and after. */
  readonly onEntry: (entry: Buffer) => void
  readonly onApplied: (index: number, store: SimStore) => void
}

export class SimStore extends LocalStore {
  readonly #parts: SimStoreParts
  readonly #requests: RequestQueue
  /** Every entry applied, whole. */
  entries: Buffer[]
  #noOpTerm = 0
  #status: RaftThreadStatus | null = null
  #barriers: { readonly index: number; readonly resolve: () => void }[] = []

  constructor(parts: SimStoreParts) {
    super({ clock: parts.clock, log: silentLog })
    this.#parts = parts
    this.#requests = new RequestQueue({ clock: parts.clock, proposer: parts.proposer, post: parts.post })
    this.entries = []
    this.install(parts.saved)
  }

  get applied(): number {
    return this.state.applied
  }

  /** The state in a form that two members can be compared by. */
  digest(): string {
    const { entries } = this.state.range({ start: '', end: '\uffff' })
    const keys = entries.map(kv => [
      kv.key,
      kv.modRevision,
      kv.version,
      kv.createRevision,
      kv.lease,
      `${kv.value}`,
    ])
    return JSON.stringify([this.revision, this.compactedRevision, this.state.leases(), keys])
  }

  /** The state becomes what these entries make. */
  install(entries: readonly Buffer[]): void {
    const state = new StateMachine()
    for (const entry of entries) applyTo(state, entry)
    this.entries = [...entries]
    this.replaceState(state)
    this.#requests.installed(state)
    this.#releaseBarriers()
  }

  onProgress(message: Extract<FromRaft, { type: 'progress' }>): void {
    const before = this.#status
    const status = must(message.status ?? before, 'a first status')
    this.#status = status
    if (message.committed !== null) this.#applyAll(Buffer.from(message.committed))
    for (const { context, index } of message.reads) this.#requests.readAnswered(context, index)
    for (const refused of message.refused) this.#requests.refused(refused)
    this.#releaseBarriers()
    const { leader, leaderMember, term } = status
    if (leaderMember !== 0 && (before?.leaderMember !== leaderMember || before.term !== term)) {
      this.#requests.leaderChanged()
    }
    if (!leader || this.#noOpTerm === term) this.becomeLeadership({ leader, term })
  }

  async barrier(): Promise<void> {
    const index = await this.#requests.readIndex()
    if (this.state.applied >= index) return
    await new Promise<void>(resolve => this.#barriers.push({ index, resolve }))
  }

  end(error: Error): void {
    this.#requests.end(error)
    this.becomeLeadership({ leader: false, term: this.leadership.term })
    this.closeLocal(error)
  }

  protected propose(command: Command, options: TransactionOptions): Promise<CommandResult> {
    return this.#requests.propose(command, options)
  }

  #applyAll(bytes: Buffer): void {
    for (let offset = 0; offset < bytes.length; ) {
      const header = readEntryHeader(bytes, offset)
      if (header === null) throw new Error('half an entry')
      const end = offset + ENTRY_HEADER_BYTES + header.payloadBytes
      this.#applyEntry(bytes.subarray(offset, end))
      offset = end
    }
  }

  #applyEntry(given: Buffer): void {
    const header = readEntryHeader(given)
    if (header === null) throw new Error('half an entry')
    const { proposer, request, index } = header
    const known = proposer === this.#parts.proposer && header.payloadBytes === 0
    const command = known
      ? this.#requests.commandOf(request)
      : readCommand(header, given.subarray(ENTRY_HEADER_BYTES))
    if (command === 'unknown') throw new Error(`entry ${index} is of an unknown type`)
    if (known && command === null) throw new Error(`the command of request ${request} is gone`)
    const entry = known && command !== null ? withCommand(given, command) : given
    this.entries.push(entry)
    this.#parts.onEntry(entry)
    if (command === null) {
      this.state.skip(index)
      if (header.type === entryTypes.noOp) {
        this.#noOpTerm = header.term
        this.#requests.termApplied(header.term)
      }
      this.#parts.onApplied(index, this)
      return
    }
    const applied = this.applyCommand({ index, proposer, request, command })
    this.#parts.onApplied(index, this)
    if (proposer === this.#parts.proposer) this.#requests.applied(request, applied.result)
  }

  #releaseBarriers(): void {
    if (this.#barriers === undefined) return
    const { applied } = this.state
    for (const barrier of this.#barriers) if (barrier.index <= applied) barrier.resolve()
    this.#barriers = this.#barriers.filter(barrier => barrier.index > applied)
  }
}

function withCommand(header: Buffer, command: Command): Buffer {
  const length = sizeOfCommand(command)
  const entry = Buffer.alloc(ENTRY_HEADER_BYTES + length)
  header.copy(entry, 0, 0, ENTRY_HEADER_BYTES)
  entry.writeUInt32LE(length, 4)
  writeCommand(entry, ENTRY_HEADER_BYTES, command)
  return entry
}

export function applyTo(state: StateMachine, entry: Buffer): ReturnType<StateMachine['apply']> | null {
  const header = readEntryHeader(entry)
  if (header === null) throw new Error('half an entry')
  const command = readCommand(header, entry.subarray(ENTRY_HEADER_BYTES))
  if (command === 'unknown') throw new Error('an unknown entry')
  if (command === null) {
    state.skip(header.index)
    return null
  }
  const { index, proposer, request } = header
  return state.apply({ index, proposer, request, command })
}

/** Entries that lie one behind the other. */
export function splitEntries(bytes: Buffer): Buffer[] {
  const entries: Buffer[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const end = offset + 40 + bytes.readUInt32LE(offset + 4)
    entries.push(bytes.subarray(offset, end))
    offset = end
  }
  return entries
}
