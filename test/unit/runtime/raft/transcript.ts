/**
 * Runs a transcript of the consensus core: commands with the output they must produce, for people to read.
 *
 *   nodes 1 2 3 [learners 4] [outside 5] [terms 1:1,2,2] [begins 1:10/2]
 *                                 members, with the terms of the entries already in their logs, or with a log that
 *                                 begins behind a snapshot; those outside know of no cluster yet
 *   start 1                       what the driver does at start
 *   tick 1 60                     so many ticks pass at member 1
 *   propose 1 hello               a proposal at member 1
 *   read 1 7                      a linearizable read with context 7 at member 1
 *   change 1 voters 1 2 learners 3   member 1 is asked for this membership
 *   transfer 1 2                  member 1 is asked to hand leadership to member 2
 *   close 2 1                     member 2 sees its link to member 1 closed
 *   timeout 1 60                  the shortest wait for a leader, as measured at member 1
 *   stalls 1, flushes 1           the disk of member 1 does not answer; answers again
 *   deliver [1>2 …]               one round: every message under way (or those of these links) arrives
 *   reverse, repeat               what is under way arrives in the opposite order; twice
 *   lose                          what is under way is lost
 *   drop 1>2 …                    messages on these links are lost from now on; `heal` ends it
 *   slow 1 [pieces]               writes of member 1 (or only pieces of snapshots) become durable only with `persist 1`
 *   crash 1                       member 1 starts again from what was durable
 *   stabilize                     rounds of deliver until nothing is under way
 *   has 3 1 2                     member 3 tells member 1 that it has the log up to entry 2
 *   append 2>1 term 2 after 0/0 1/2:x …   an append as the leader of another reign would send it
 *   status                        one line per member
 */
import { must } from '../../../../src/base/assert.ts'
import {
  createEntry,
  ENTRY_HEADER_BYTES,
  type Entry,
  entryTypes,
  writeEntryHeader,
} from '../../../../src/runtime/raft/entry.ts'
import type { Message } from '../../../../src/runtime/raft/messages.ts'
import type { Raft } from '../../../../src/runtime/raft/raft.ts'
import { TranscriptMember } from './transcript-member.ts'
import { describe, membersText } from './transcript-text.ts'

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
  readonly #members = new Map<number, TranscriptMember>()
  #underWay: Message[] = []
  #lost = new Set<string>()
  #output: string[] = []

  run([verb = '', ...words]: string[]): string[] {
    this.#output = []
    const id = Number(words[0])
    const commands: Record<string, () => void> = {
      nodes: () => this.#create(words),
      start: () => this.#with(id, raft => raft.start()),
      tick: () => this.#with(id, raft => raft.tick(Number(words[1]))),
      propose: () => this.#with(id, raft => this.#propose(raft, words.slice(1))),
      read: () => this.#with(id, raft => this.#read(raft, Number(words[1]))),
      change: () => this.#with(id, raft => this.#change(raft, words.slice(1))),
      transfer: () => this.#with(id, raft => this.#transfer(raft, Number(words[1]))),
      timeout: () => this.#with(id, raft => raft.setElectionTimeout(Number(words[1]))),
      stalls: () => this.#with(id, raft => raft.setDiskStalls(true)),
      flushes: () => this.#with(id, raft => raft.setDiskStalls(false)),
      close: () => this.#with(id, raft => raft.linkClosed(Number(words[1]))),
      slow: () => this.#member(id).beSlow(words[1] === 'pieces'),
      persist: () => this.#drain(this.#member(id).persist(), id),
      crash: () => this.#drain(this.#member(id).crash(), id),
      has: () => this.#has(id, Number(words[1]), Number(words[2])),
      append: () => this.#append(words),
      deliver: () => this.#deliver(words),
      reverse: () => void this.#underWay.reverse(),
      repeat: () => void this.#underWay.push(...this.#underWay),
      lose: () => void this.#underWay.splice(0),
      drop: () => {
        this.#lost = new Set(words)
      },
      heal: () => this.#lost.clear(),
      stabilize: () => this.#stabilize(),
      status: () => this.#status(),
    }
    must(commands[verb], `the command ${verb}`)()
    return this.#output
  }

  #create(words: readonly string[]): void {
    const lists = listsOf(['voters', ...words], ['voters', 'learners', 'outside', 'terms', 'begins'])
    const numbers = (name: string) => (lists.get(name) ?? []).map(Number)
    const configuration = { voters: numbers('voters'), outgoing: [], learners: numbers('learners') }
    const perMember = (name: string) =>
      new Map(
        (lists.get(name) ?? []).map(word => [Number(word.split(':')[0]), word.split(':')[1] ?? ''] as const),
      )
    const [terms, begins] = [perMember('terms'), perMember('begins')]
    const outside = numbers('outside')
    const nobody = { voters: [], outgoing: [], learners: [] }
    for (const id of [...configuration.voters, ...configuration.learners, ...outside]) {
      const [index = 0, term = 0] = begins.get(id)?.split('/').map(Number) ?? []
      const position = { index, term, configuration: outside.includes(id) ? nobody : configuration }
      const entries = terms.get(id)?.split(',').map(Number) ?? []
      this.#members.set(id, new TranscriptMember(id, position, entries))
    }
  }

  #member(id: number): TranscriptMember {
    return must(this.#members.get(id), `member ${id}`)
  }

  #with(id: number, act: (raft: Raft) => void): void {
    const member = this.#member(id)
    act(member.raft)
    this.#drain(member.drain(), id)
  }

  #drain(said: readonly (string | Message)[], id: number): void {
    for (const what of said) {
      if (typeof what === 'string') this.#say(id, what)
      else this.#send(what)
    }
  }

  #propose(raft: Raft, texts: readonly string[]): void {
    const proposals = texts.map(text => {
      const bytes = Buffer.alloc(ENTRY_HEADER_BYTES + text.length)
      writeEntryHeader(bytes, 0, { type: entryTypes.transaction, payloadBytes: text.length })
      bytes.write(text, ENTRY_HEADER_BYTES)
      return bytes
    })
    const outcome = raft.propose(proposals)
    if (outcome.kind !== 'accepted') this.#say(raft.id, `refuses: ${outcome.kind}`)
  }

  #read(raft: Raft, context: number): void {
    if (!raft.readIndex(context)) this.#say(raft.id, 'refuses: no leader')
  }

  #change(raft: Raft, words: readonly string[]): void {
    const lists = listsOf(words, ['voters', 'learners'])
    const numbers = (name: string) => (lists.get(name) ?? []).map(Number)
    const outcome = raft.changeMembership({ voters: numbers('voters'), learners: numbers('learners') })
    if (outcome.kind === 'accepted') return
    const why =
      'why' in outcome ? `, ${outcome.why}` : 'member' in outcome ? `, member ${outcome.member}` : ''
    this.#say(raft.id, `refuses: ${outcome.kind}${why}`)
  }

  #transfer(raft: Raft, target: number): void {
    if (!raft.transferLeadership(target)) this.#say(raft.id, 'refuses')
  }

  #say(id: number, what: string): void {
    this.#output.push(`${id} ${what}`)
  }

  #send(message: Message): void {
    const lost = this.#lost.has(`${message.from}>${message.to}`) || !this.#members.has(message.to)
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

  #stabilize(): void {
    for (let rounds = 0; this.#underWay.length > 0; rounds++) {
      if (rounds > 200) throw new Error('it never becomes quiet')
      this.#deliver([])
    }
  }

  #has(from: number, to: number, index: number): void {
    const { term } = this.#member(to).raft
    const body = { type: 'append-reply', index, rejected: false } as const
    this.#with(to, raft => raft.step({ from, to, term, ...body }))
  }

  #append([link = '', , term = '', , after = '', ...entries]: string[]): void {
    const [from = 0, to = 0] = link.split('>').map(Number)
    const [previousIndex = 0, previousTerm = 0] = after.split('/').map(Number)
    const body = {
      type: 'append',
      previousIndex,
      previousTerm,
      entries: entries.map(entryOf),
      commit: 0,
      attempt: 1,
    } as const
    this.#with(to, raft => raft.step({ from, to, term: Number(term), ...body }))
  }

  #status(): void {
    for (const [id, { raft }] of this.#members) {
      const { log, role, term, leader, configuration } = raft
      const terms: string[] = []
      for (let index = log.firstIndex; index <= log.lastIndex; index++) terms.push(String(log.termAt(index)))
      if (log.firstIndex > 1) terms.unshift(`…${log.firstIndex - 1}`)
      const head = `${role} term ${term} leader ${leader} commit ${log.committed} log [${terms.join(' ')}]`
      this.#say(id, `${head} ${membersText(configuration)}`)
    }
  }
}

/** "1/2:x" as an entry. */
function entryOf(word: string): Entry {
  const [place = '', text = ''] = word.split(':')
  const [index = 0, term = 0] = place.split('/').map(Number)
  return createEntry(entryTypes.transaction, Buffer.from(text), { index, term })
}

/** Words behind the names they follow. */
function listsOf(words: readonly string[], names: readonly string[]): Map<string, string[]> {
  const lists = new Map<string, string[]>()
  let current: string[] = []
  for (const word of words) {
    if (names.includes(word)) {
      current = []
      lists.set(word, current)
    } else current.push(word)
  }
  return lists
}
