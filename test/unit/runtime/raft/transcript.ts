/**
 * Runs a transcript of the consensus core: commands with the output they must produce, for people to read.
 *
 *   nodes 1 2 3 [terms 1:1,2,2]   members that all vote, with the terms of the entries already in their logs
 *   start 1                       what the driver does at start
 *   tick 1 60                     so many ticks pass at member 1
 *   propose 1 hello               a proposal at member 1
 *   read 1 7                      a linearizable read with context 7 at member 1
 *   deliver [1>2 …]               one round: every message under way (or those of these links) arrives
 *   drop 1>2 …                    messages on these links are lost from now on; `heal` ends it
 *   persist 1                     the writes of member 1 become durable (otherwise at once, unless `slow 1`)
 *   stabilize                     rounds of deliver until nothing is under way
 *   has 3 1 2                     member 3 tells member 1 that it has the log up to entry 2
 *   status                        one line per member
 */
import { must } from '../../../../src/base/assert.ts'
import {
  createEntry,
  ENTRY_HEADER_BYTES,
  type Entry,
  entryTypes,
  payloadOf,
  writeEntryHeader,
} from '../../../../src/runtime/raft/entry.ts'
import type { Message } from '../../../../src/runtime/raft/messages.ts'
import { Raft } from '../../../../src/runtime/raft/raft.ts'

interface Member {
  readonly raft: Raft
  /** Numbers of writes that are not durable yet, while the disk is slow. */
  writes: number[]
  slow: boolean
}

/** The transcript with the output that the core produces now: indented lines are output, all others stay. */
export function runTranscript(text: string): string {
  const world = new World()
  const lines = text.split('\n').filter(line => !line.startsWith('  '))
  return lines
    .flatMap(line => {
      if (!line.startsWith('> ')) return [line]
      return [line, ...world.run(line.slice(2).split(' ')).map(output => `  ${output}`)]
    })
    .join('\n')
}

class World {
  readonly #members = new Map<number, Member>()
  #underWay: Message[] = []
  #lost = new Set<string>()
  #output: string[] = []

  run([verb = '', ...words]: string[]): string[] {
    this.#output = []
    const id = Number(words[0])
    if (verb === 'nodes') this.#create(words)
    else if (verb === 'start') this.#with(id, raft => raft.start())
    else if (verb === 'tick') this.#with(id, raft => raft.tick(Number(words[1])))
    else if (verb === 'propose') this.#with(id, raft => this.#propose(raft, must(words[1], 'a text')))
    else if (verb === 'read') this.#with(id, raft => this.#read(raft, Number(words[1])))
    else if (verb === 'slow') this.#member(id).slow = true
    else if (verb === 'persist') this.#persist(id)
    else if (verb === 'has') this.#has(id, Number(words[1]), Number(words[2]))
    else if (verb === 'deliver') this.#deliver(words)
    else if (verb === 'drop') this.#lost = new Set(words)
    else if (verb === 'heal') this.#lost.clear()
    else if (verb === 'stabilize') while (this.#underWay.length > 0) this.#deliver([])
    else if (verb === 'status') this.#status()
    else throw new Error(`unknown command ${verb}`)
    return this.#output
  }

  #create(words: readonly string[]): void {
    const at = words.indexOf('terms')
    const ids = words.slice(0, at === -1 ? undefined : at).map(Number)
    const terms = new Map(
      words.slice(at === -1 ? words.length : at + 1).map(word => {
        const [id, list = ''] = word.split(':')
        return [Number(id), list.split(',').map(Number)]
      }),
    )
    for (const id of ids)
      this.#members.set(id, { raft: createMember(id, ids, terms.get(id) ?? []), writes: [], slow: false })
  }

  #member(id: number): Member {
    return must(this.#members.get(id), `member ${id}`)
  }

  #with(id: number, act: (raft: Raft) => void): void {
    act(this.#member(id).raft)
    this.#drain(id)
  }

  #propose(raft: Raft, text: string): void {
    const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + text.length)
    writeEntryHeader(bytes, 0, { type: entryTypes.transaction, payloadBytes: text.length })
    bytes.write(text, ENTRY_HEADER_BYTES)
    const outcome = raft.propose([bytes])
    if (outcome.kind !== 'accepted') this.#output.push(`${raft.id} refuses: ${outcome.kind}`)
  }

  #read(raft: Raft, context: number): void {
    if (!raft.readIndex(context)) this.#output.push(`${raft.id} refuses: no leader`)
  }

  #persist(id: number): void {
    const member = this.#member(id)
    for (const number of member.writes.splice(0)) member.raft.persisted(number)
    this.#drain(id)
  }

  #drain(id: number): void {
    const member = this.#member(id)
    const { raft } = member
    while (raft.hasReady) {
      const ready = raft.takeReady()
      const { hardState, entries } = ready
      if (hardState && ready.mustFlush)
        this.#say(id, `writes term ${hardState.term} vote ${hardState.vote} commit ${hardState.commit}`)
      if (entries.length > 0) this.#say(id, `writes ${entries.map(textOf).join(' ')}`)
      for (const message of ready.messages) this.#send(message)
      if (ready.committed.length > 0) this.#say(id, `applies ${ready.committed.map(textOf).join(' ')}`)
      for (const read of ready.reads) this.#say(id, `may read ${read.context} at ${read.index}`)
      if (member.slow) member.writes.push(ready.number)
      else raft.persisted(ready.number)
    }
  }

  #say(id: number, what: string): void {
    this.#output.push(`${id} ${what}`)
  }

  #send(message: Message): void {
    const lost = this.#lost.has(`${message.from}>${message.to}`)
    this.#output.push(`${message.from}>${message.to} ${describe(message)}${lost ? ' (lost)' : ''}`)
    if (!lost) this.#underWay.push(message)
  }

  #deliver(links: readonly string[]): void {
    const round = this.#underWay
    this.#underWay = []
    for (const message of round) {
      if (links.length > 0 && !links.includes(`${message.from}>${message.to}`)) this.#underWay.push(message)
      else this.#with(message.to, raft => raft.step(message))
    }
  }

  #has(from: number, to: number, index: number): void {
    const { term } = this.#member(to).raft
    this.#with(to, raft => raft.step({ type: 'append-reply', from, to, term, index, rejected: false }))
  }

  #status(): void {
    for (const [id, { raft }] of this.#members) {
      const log = Array.from({ length: raft.log.lastIndex }, (_, at) => raft.log.termAt(at + 1) ?? '-')
      const { role, term, leader } = raft
      this.#say(
        id,
        `${role} term ${term} leader ${leader} commit ${raft.log.committed} log [${log.join(' ')}]`,
      )
    }
  }
}

function createMember(id: number, ids: readonly number[], terms: readonly number[]): Raft {
  // Member 1 waits the shortest for an election, the last one the longest: 30 ticks and 5 for each.
  const float = () => ((id - 1) * 5) / 31 + 0.001
  const random = { float, uuid: () => '', bytes: () => new Uint8Array() }
  const configuration = { voters: ids, outgoing: [], learners: [] }
  const entries = terms.map((term, at) =>
    createEntry(entryTypes.transaction, Buffer.from(`old${at + 1}`), { index: at + 1, term }),
  )
  const hardState = { term: terms.at(-1) ?? 0, vote: 0, commit: 0 }
  const log = { previousIndex: 0, previousTerm: 0, configuration, entries, commit: 0 }
  return new Raft({ id, random, hardState, log })
}

function textOf(entry: Entry): string {
  const what = entry.type === entryTypes.noOp ? 'no-op' : payloadOf(entry).toString()
  return `${entry.index}/${entry.term}:${what}`
}

function describe(message: Message): string {
  const { type, term } = message
  const head = `${type} term ${term}`
  switch (message.type) {
    case 'pre-vote':
    case 'vote':
      return `${head} last ${message.lastIndex}/${message.lastTerm}`
    case 'pre-vote-reply':
    case 'vote-reply':
      return `${head} ${message.granted ? 'granted' : 'refused'}`
    case 'append': {
      const entries = message.entries.map(textOf).join(' ')
      return `${head} after ${message.previousIndex}/${message.previousTerm} commit ${message.commit} [${entries}]`
    }
    case 'append-reply':
      return `${head} ${message.rejected ? 'rejected, try' : 'has'} ${message.index}`
    case 'heartbeat':
      return `${head} commit ${message.commit} read ${message.read}`
    case 'heartbeat-reply':
      return `${head} read ${message.read}`
    case 'read-index':
      return `${head} context ${message.context}`
    case 'read-index-reply':
      return `${head} context ${message.context} at ${message.index}`
  }
}
