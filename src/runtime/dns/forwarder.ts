/**
 * Asks other servers what is not the cluster's: the stub domain's, or the upstream ones in turn. Those that did not
 * answer last time are asked last. The same question is asked once, however many wait for it.
 */
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { DnsServer, ForwardingConfig } from './messages.ts'
import { CLASS_IN, FLAG_CHECKING_DISABLED, FLAG_RECURSION_DESIRED, RCODE, TYPE } from './record-types.ts'
import { exchange } from './upstream-exchange.ts'

export interface ForwarderParts {
  readonly clock: Clock
  readonly random: Random
  /** Empty: all is well again. */
  readonly onProblem: (about: 'upstream' | 'loop', text: string) => void
}

export interface Forwarded {
  readonly question: Buffer
  readonly name: string
  readonly key: string
  readonly dnssecOk: boolean
  readonly checkingDisabled: boolean
}

/** Different questions that are asked at the same time; further ones fail at once. */
const QUESTIONS_MAX = 1_000
/** A client of the C library waits five seconds. */
const TRY_MS = 1_500
const QUESTION_MS_MAX = 4_500
const TRIES_MAX = 6
/** A server that did not answer is asked last for so long. */
const REST_MS = 5_000
const PROBE_MS = 2_000
const PAYLOAD_BYTES = 1_232

export class Forwarder {
  readonly #parts: ForwarderParts
  #config: ForwardingConfig = { upstreams: [], stubDomains: {} }
  readonly #asking = new Map<string, Promise<Buffer | null>>()
  readonly #restingUntil = new Map<string, number>()
  /** Questions by which a server is found out that asks us what we ask it. */
  readonly #probes = new Map<string, DnsServer>()
  readonly #looping = new Set<string>()
  #turn = 0
  #problem = ''
  queries = 0
  failures = 0

  constructor(parts: ForwarderParts) {
    this.#parts = parts
  }

  configure(config: ForwardingConfig): void {
    this.#config = config
    this.#looping.clear()
    this.#restingUntil.clear()
    this.#parts.onProblem('loop', '')
    this.#say('')
    const servers = [config.upstreams, ...Object.values(config.stubDomains)].flat()
    for (const server of new Map(servers.map(each => [textOf(each), each])).values()) this.#probe(server)
  }

  /** Null when nobody answered. */
  async ask(asked: Forwarded): Promise<Buffer | null> {
    const present = this.#asking.get(asked.key)
    if (present !== undefined) return present
    if (this.#asking.size >= QUESTIONS_MAX) return null
    const answer = this.#askAll(asked).finally(() => this.#asking.delete(asked.key))
    this.#asking.set(asked.key, answer)
    return answer
  }

  /** A question of our own came back: the server that it went to asks us. */
  isOwnProbe(name: string, type: number): boolean {
    const server = type === TYPE.HINFO ? this.#probes.get(name) : undefined
    if (server === undefined) return false
    this.#looping.add(textOf(server))
    const servers = [...this.#looping].join(', ')
    this.#parts.onProblem('loop', `upstream servers that ask this one are left out: ${servers}`)
    return true
  }

  async #askAll(asked: Forwarded): Promise<Buffer | null> {
    const { clock } = this.#parts
    const { servers, isStub, triesMax } = this.#serversFor(asked.name)
    const deadline = clock.monotonic() + QUESTION_MS_MAX
    let refusal: Buffer | null = null
    for (let tries = 0; tries < triesMax; tries++) {
      const server = servers[tries % servers.length]
      const left = deadline - clock.monotonic()
      if (server === undefined || left <= 0) break
      const answer = await this.#askOne(server, asked, Math.min(TRY_MS, left))
      if (answer === null) continue
      if (!isStub) this.#say('')
      const rcode = answer.readUInt16BE(2) & 15
      if (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN) return answer
      // Another one may know; one that has refused is not asked again.
      refusal = answer
      if (tries + 1 >= servers.length) return refusal
    }
    if (refusal !== null) return refusal
    if (!isStub) {
      this.#say(
        servers.length === 0
          ? 'no upstream servers are known'
          : `none of the upstream servers answers: ${servers.map(textOf).join(', ')}`,
      )
    }
    return null
  }

  async #askOne(server: DnsServer, asked: Forwarded, timeoutMs: number): Promise<Buffer | null> {
    const { clock, random } = this.#parts
    this.queries++
    const message = questionMessage(asked, random)
    const answer = await exchange(server, { message, question: asked.question, timeoutMs, clock })
    if (answer !== null) {
      this.#restingUntil.delete(textOf(server))
      return answer
    }
    this.failures++
    this.#restingUntil.set(textOf(server), clock.monotonic() + REST_MS)
    return null
  }

  #serversFor(name: string) {
    const { upstreams, stubDomains } = this.#config
    const domain = Object.keys(stubDomains)
      .filter(each => name === each || name.endsWith(`.${each}`))
      .sort((a, b) => b.length - a.length)[0]
    const configured = domain === undefined ? upstreams : (stubDomains[domain] ?? [])
    const usable = configured.filter(server => !this.#looping.has(textOf(server)))
    const turn = usable.length === 0 ? 0 : this.#turn++ % usable.length
    const inTurn = [...usable.slice(turn), ...usable.slice(0, turn)]
    const now = this.#parts.clock.monotonic()
    const isResting = (server: DnsServer) => (this.#restingUntil.get(textOf(server)) ?? 0) > now
    const servers = [...inTurn.filter(each => !isResting(each)), ...inTurn.filter(isResting)]
    // When none has answered lately, whoever asks is told so soon.
    const rounds = servers.every(isResting) ? 1 : 2
    return { servers, isStub: domain !== undefined, triesMax: Math.min(TRIES_MAX, rounds * servers.length) }
  }

  #probe(server: DnsServer): void {
    const { random, clock } = this.#parts
    const label = () => BigInt(`0x${Buffer.from(random.bytes(8)).toString('hex')}`).toString()
    const labels = [label(), label()]
    const name = labels.join('.')
    const question = Buffer.concat([
      ...labels.flatMap(each => [Buffer.of(each.length), Buffer.from(each)]),
      Buffer.of(0, 0, TYPE.HINFO, 0, CLASS_IN),
    ])
    const asked = { question, dnssecOk: false, checkingDisabled: false }
    this.#probes.set(name, server)
    const message = questionMessage(asked, random)
    void exchange(server, { message, question, timeoutMs: PROBE_MS, clock }).finally(() =>
      this.#probes.delete(name),
    )
  }

  #say(problem: string): void {
    if (problem === this.#problem) return
    this.#problem = problem
    this.#parts.onProblem('upstream', problem)
  }
}

const textOf = ({ address, port }: DnsServer) => (port === 53 ? address : `${address}#${port}`)

/** With EDNS, which larger answers need. */
function questionMessage(
  asked: Pick<Forwarded, 'question' | 'dnssecOk' | 'checkingDisabled'>,
  random: Random,
): Buffer {
  const header = Buffer.alloc(12)
  header.set(random.bytes(2), 0)
  header.writeUInt16BE(FLAG_RECURSION_DESIRED | (asked.checkingDisabled ? FLAG_CHECKING_DISABLED : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(1, 10)
  const opt = Buffer.of(
    0,
    0,
    TYPE.OPT,
    PAYLOAD_BYTES >> 8,
    PAYLOAD_BYTES & 255,
    0,
    0,
    asked.dnssecOk ? 0x80 : 0,
    0,
    0,
    0,
  )
  return Buffer.concat([header, asked.question, opt])
}
