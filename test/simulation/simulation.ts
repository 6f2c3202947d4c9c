/**
 * One simulated cluster from one seed: a time of faults in which nothing may go wrong, then a time without in
 * which everything has to work again, then the checks that need the whole history.
 */
import type { MemberId } from '../../src/runtime/raft/messages.ts'
import { Checkers, checkAcknowledged } from './checkers/checkers.ts'
import { checkLinearizable, explain } from './checkers/linearizability.ts'
import { Faults } from './faults.ts'
import { Member } from './member.ts'
import { Network } from './network.ts'
import { Operator } from './operator.ts'
import { drawOptions, type PlantedBugs } from './options.ts'
import { ABSENT, Workload } from './workload.ts'
import { Violation, World } from './world.ts'

/** A tick is that of the core. */
export const TICK_MS = 10
/** Without faults everything has to work again within so long. */
const HEALING_MS = 20_000

export interface SimulationResult {
  readonly seed: number
  readonly violation: Error | null
  readonly events: number
  readonly entries: number
  readonly operations: number
  readonly watched: number
  readonly members: number
  readonly crashes: number
  readonly undecided: number
  readonly virtualMs: number
}

export interface SimulationParts {
  readonly seed: number
  readonly ticks: number
  readonly bugs?: PlantedBugs
  readonly print?: (line: string) => void
}

export async function simulate(parts: SimulationParts): Promise<SimulationResult> {
  const simulation = new Simulation(parts)
  return simulation.run()
}

class Simulation {
  readonly #parts: SimulationParts
  readonly #world: World
  readonly #members = new Map<MemberId, Member>()
  readonly #checkers: Checkers
  readonly #network: Network
  readonly #operator: Operator
  readonly #workload: Workload
  readonly #faults: Faults
  readonly #gate = { open: true }
  #undecided = 0

  constructor(parts: SimulationParts) {
    this.#parts = parts
    const world = new World(parts.seed, parts.print ?? null)
    const options = drawOptions(world, parts.bugs ?? {})
    world.trace(() => JSON.stringify({ ...options, rules: undefined }))
    world.eventsMax = 100_000 + 150 * parts.ticks
    this.#world = world
    this.#checkers = new Checkers(world)
    this.#network = new Network(world, options)
    const create = (id: MemberId): Member => {
      const shared = {
        world,
        options,
        network: this.#network,
        checkers: this.#checkers,
        onSnapshot: (leader: MemberId, to: MemberId) => this.#faults.sendsSnapshot(leader, to),
        storesLate: (storing: Member) => this.#faults.storesLate(storing),
      }
      const member = new Member(id, { ...shared, joins: id !== 1 })
      this.#members.set(id, member)
      member.start()
      return member
    }
    this.#operator = new Operator({ world, members: this.#members, create }, options.voters)
    const members = () => [...this.#members.values()]
    const workload = { world, options, checkers: this.#checkers, members, gate: this.#gate }
    this.#workload = new Workload(workload)
    this.#faults = new Faults({
      world,
      options,
      members: this.#members,
      network: this.#network,
      operator: this.#operator,
    })
  }

  async run(): Promise<SimulationResult> {
    const world = this.#world
    const time = this.#parts.ticks * TICK_MS
    this.#workload.start()
    this.#faults.start()
    this.#watchLogs()
    await world.run(time)
    if (world.violation === null) await this.#heal(time)
    if (world.violation === null) this.#checkHistory()
    return {
      seed: this.#parts.seed,
      violation: world.violation,
      events: world.events,
      entries: this.#checkers.length,
      operations: this.#workload.operations,
      watched: this.#workload.watchers.reduce((total, { delivered }) => total + delivered, 0),
      members: this.#members.size,
      crashes: this.#faults.crashes,
      undecided: this.#undecided,
      virtualMs: world.now,
    }
  }

  /** Looks at every log often enough to see what is overwritten. */
  #watchLogs(): void {
    this.#world.after(25, () => {
      const cores = [...this.#members.values()].flatMap(({ id, life }) =>
        life?.raft ? [{ id, raft: life.raft }] : [],
      )
      for (const core of cores) this.#checkers.stepped(core)
      this.#checkers.checkLogs(cores, id => `${id}.${this.#members.get(id)?.lives}`)
      this.#watchLogs()
    })
  }

  async #heal(time: number): Promise<void> {
    const world = this.#world
    world.trace(() => 'no faults from here on')
    this.#gate.open = false
    this.#faults.stop()
    const before = this.#checkers.length
    await world.run(time + HEALING_MS, () => this.#checkers.length > before && this.#isWell())
    if (world.violation !== null || this.#isWell()) return
    const state = [...this.#members.values()].map(({ id, life, broken }) => {
      if (broken || !life?.raft) return `${id}: ${broken ? 'broken' : 'down'}`
      const { role, term, leader, log, configuration } = life.raft
      const members = `${configuration.voters}|${configuration.outgoing}+${configuration.learners}`
      const place = `commit ${log.committed} of ${log.lastIndex}/${log.lastTerm}, applied ${life.store.applied}`
      return `${id}: ${role} term ${term} leader ${leader} ${place}, members ${members}`
    })
    world.fail(new Violation(`the cluster does not recover: ${state.join('; ')}`))
  }

  /** One leader, the membership that is wanted, and everybody has applied everything. */
  #isWell(): boolean {
    const leader = this.#operator.leader?.life
    if (!leader?.raft || !leader.store.leadership.leader) return false
    const { configuration, configurationIndex, log } = leader.raft
    const { voters, outgoing } = configuration
    if (outgoing.length > 0 || configurationIndex > log.committed || log.committed < log.lastIndex)
      return false
    if (![...voters].sort().every((id, at) => id === [...this.#operator.voters].sort()[at])) return false
    const stores = voters.map(id => this.#members.get(id)?.life?.store)
    return stores.every(store => store?.applied === log.committed)
  }

  #checkHistory(): void {
    const world = this.#world
    try {
      checkAcknowledged(this.#checkers.events, this.#workload.acknowledged)
      for (const { life, id } of this.#members.values()) {
        if (life?.store.applied === this.#checkers.length) this.#checkers.installed(id, life.store)
      }
      for (const [key, history] of this.#workload.histories) {
        const outcome = checkLinearizable(history, ABSENT)
        if (outcome === 'undecided') this.#undecided++
        if (outcome === 'not linearizable') {
          throw new Violation(`the history of ${key} is not linearizable:\n${explain(history, ABSENT)}`)
        }
      }
    } catch (error) {
      world.fail(error)
    }
  }
}
