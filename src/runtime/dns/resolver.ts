/** From a query's bytes to an answer's: the cache, the cluster's names, other servers. Knows nothing of sockets. */
import { decode } from 'dns-packet'
import type { Clock } from '../../base/clock.ts'
import { AnswerCache } from './answer-cache.ts'
import { ClusterZone, type ZoneAnswer } from './cluster-zone.ts'
import { DnsFigures } from './figures.ts'
import type { Forwarded, Forwarder } from './forwarder.ts'
import type { DnsChanges, DnsCounters, ForwardingConfig, ZoneConfig } from './messages.ts'
import {
  CLASS_IN,
  type DnsRecord,
  FLAG,
  FLAG_CHECKING_DISABLED,
  HEADER_BYTES,
  RCODE,
} from './record-types.ts'
import { answerFor, refusal, type StoredAnswer, storeAnswer } from './stored-answer.ts'
import { recordsOf } from './upstream-records.ts'
import { parseQuery, type Query } from './wire-query.ts'
import { writeMessage } from './wire-writer.ts'

export interface ResolverParts {
  readonly zone: ZoneConfig
  readonly forwarder: Pick<Forwarder, 'ask' | 'isOwnProbe' | 'configure' | 'queries' | 'failures'>
  readonly clock: Clock
}

export type Reply = (answer: Buffer) => void

/** Queries that wait for other servers; further ones are told to ask somebody else. */
const WAITING_MAX = 4_000

export class Resolver {
  readonly #forwarder: ResolverParts['forwarder']
  readonly #clock: Clock
  readonly #zone: ClusterZone
  readonly #cache = new AnswerCache()
  readonly #figures = new DnsFigures()
  #isSynced = false
  #waiting = 0

  constructor({ zone, forwarder, clock }: ResolverParts) {
    this.#zone = new ClusterZone(zone)
    this.#forwarder = forwarder
    this.#clock = clock
  }

  change(changes: DnsChanges): void {
    this.#zone.change(changes)
    this.#cache.clusterChanged()
  }

  /** Until then nobody is told that a name of the cluster's does not exist. */
  synced(): void {
    this.#isSynced = true
    this.#cache.clusterChanged()
  }

  configure(config: ForwardingConfig): void {
    this.#forwarder.configure(config)
    this.#cache.upstreamsChanged()
  }

  counters(): DnsCounters {
    const { queries, failures } = this.#forwarder
    return this.#figures.counters({
      cacheEntries: this.#cache.size,
      upstreamQueries: queries,
      upstreamFailures: failures,
    })
  }

  /** Answers at once where it can. What deserves no answer gets none. */
  handle(bytes: Buffer, { isTcp }: { readonly isTcp: boolean }, reply: Reply): void {
    const startMs = this.#clock.monotonic()
    const parsed = parseQuery(bytes)
    if (parsed.kind === 'silence') return void this.#figures.drop()
    const send = (answer: Buffer, rcode: number) => {
      this.#figures.answered({ isTcp, rcode, ms: this.#clock.monotonic() - startMs })
      reply(answer)
    }
    if (parsed.kind === 'refusal') return void send(refusal(parsed), parsed.rcode)
    const { query } = parsed
    const cached = this.#cache.answer(query, { isTcp, nowMs: startMs })
    if (cached !== null) {
      this.#figures.hit()
      return void send(cached, cached.readUInt16BE(2) & 15)
    }
    this.#figures.miss()
    const give = (stored: StoredAnswer | number) => {
      if (typeof stored === 'number') return send(refusal({ ...query, rcode: stored }), stored)
      send(answerFor(stored, { query, isTcp, ageSeconds: null, turn: 0 }), stored.rcode)
    }
    if (!isWhole(bytes)) return void give(RCODE.FORMERR)
    this.#resolve(query, give)
  }

  #resolve(query: Query, give: (stored: StoredAnswer | number) => void): void {
    const { name, type } = query
    if (this.#forwarder.isOwnProbe(name, type)) return void give(RCODE.REFUSED)
    if (!this.#isSynced && this.#zone.owns(name)) return void give(RCODE.SERVFAIL)
    const found = this.#zone.lookup(name, type)
    if (found.kind === 'answer' && found.chase === undefined) return void give(this.#keep(query, found))
    if (this.#waiting >= WAITING_MAX) return void give(RCODE.SERVFAIL)
    this.#waiting++
    const answer = found.kind === 'elsewhere' ? this.#forward(query) : this.#chase(query, found)
    void answer
      .catch(() => RCODE.SERVFAIL)
      .then(stored => {
        this.#waiting--
        give(stored)
      })
  }

  #keep(query: Query, found: ZoneAnswer & { kind: 'answer' }): StoredAnswer {
    const stored = storeAnswer(messageOf(query, found))
    if (found.rcode !== RCODE.SERVFAIL) this.#cache.putCluster(query.key, stored)
    return stored
  }

  async #forward(query: Query): Promise<StoredAnswer | number> {
    const answer = await this.#forwarder.ask(forwarded(query))
    if (answer === null) return RCODE.SERVFAIL
    const stored = storeAnswer(answer)
    this.#cache.putUpstream(query.key, stored, this.#clock.monotonic())
    return stored
  }

  /** An alias to a name elsewhere: with what is known there, as far as it is known. */
  async #chase(query: Query, found: ZoneAnswer & { kind: 'answer' }): Promise<StoredAnswer | number> {
    const question = questionOf(found.chase ?? '', query.type)
    const key = `${question.toString('latin1')}0`
    const asked = { question, name: found.chase ?? '', key, dnssecOk: false, checkingDisabled: false }
    const answer = await this.#forwarder.ask(asked)
    if (answer === null) return RCODE.SERVFAIL
    const rcode = answer.readUInt16BE(2) & 15
    const answers = [...found.answers, ...recordsOf(answer)]
    const stored = storeAnswer(messageOf(query, { ...found, rcode, answers }))
    this.#cache.putAlias(query.key, stored, this.#clock.monotonic())
    return stored
  }
}

/** The rest of the message is as it should be too. */
function isWhole(bytes: Buffer): boolean {
  try {
    decode(bytes)
    return true
  } catch {
    return false
  }
}

function messageOf(query: Query, found: ZoneAnswer & { kind: 'answer' }): Buffer {
  const { rcode, answers, authorities, additionals } = found
  return writeMessage({
    question: query.bytes.subarray(HEADER_BYTES, query.questionEnd),
    flags: FLAG.response | FLAG.authoritative | rcode,
    ...{ answers, authorities, additionals: additionals satisfies readonly DnsRecord[] },
  })
}

const forwarded = (query: Query): Forwarded => ({
  question: Buffer.from(query.bytes.subarray(HEADER_BYTES, query.questionEnd)),
  name: query.name,
  key: query.key,
  dnssecOk: query.edns?.dnssecOk === true,
  checkingDisabled: (query.flags & FLAG_CHECKING_DISABLED) !== 0,
})

function questionOf(name: string, type: number): Buffer {
  const labels = name.split('.').flatMap(label => [Buffer.of(label.length), Buffer.from(label, 'latin1')])
  return Buffer.concat([...labels, Buffer.of(0, type >> 8, type & 255, 0, CLASS_IN)])
}
