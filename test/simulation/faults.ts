/** What goes wrong, and when: crashes, power cuts, rot, partitions, slow disks, hanging processes, churn. */
import type { MemberId } from '../../src/runtime/raft/messages.ts'
import type { Member } from './member.ts'
import type { Network } from './network.ts'
import type { Operator } from './operator.ts'
import type { SimulationOptions } from './options.ts'
import type { World } from './world.ts'

export interface FaultsParts {
  readonly world: World
  readonly options: SimulationOptions
  readonly members: Map<MemberId, Member>
  readonly network: Network
  readonly operator: Operator
}

export class Faults {
  readonly #parts: FaultsParts
  #stopped = false
  crashes = 0

  constructor(parts: FaultsParts) {
    this.#parts = parts
  }

  start(): void {
    const { options } = this.#parts
    this.#nowAndThen('crash', options.crashEvery, () => this.#crash())
    this.#nowAndThen('partition', options.partitionEvery, () => this.#partition())
    this.#nowAndThen('spite', options.spiteEvery, () => this.#spite())
    this.#nowAndThen('slow disk', options.slowDiskEvery, () => this.#any('slow disk')?.disk.slowDown(2000))
    this.#nowAndThen('pause', options.pauseEvery, () => this.#pause())
    this.#nowAndThen('freeze', options.freezeEvery, () => this.#freeze())
    this.#nowAndThen('stall', options.stallEvery, () => this.#stall())
    this.#nowAndThen('churn', options.churnEvery, () => this.#parts.operator.churn())
    this.#nowAndThen('transfer', options.transferEvery, () => this.#transfer())
    this.#restartWhoIsDown()
  }

  /** From now on nothing goes wrong, and whoever can is up again. */
  stop(): void {
    this.#stopped = true
    const { network, members, operator } = this.#parts
    network.becomeSound()
    operator.replaceBroken()
    for (const member of members.values()) {
      member.disk.becomeSound()
      member.wake()
      member.start()
    }
  }

  #nowAndThen(name: string, every: number, act: () => void): void {
    if (every === 0) return
    const { world } = this.#parts
    const again = () => {
      world.after(-Math.log(1 - world.random(name).float()) * every, () => {
        if (this.#stopped) return
        act()
        again()
      })
    }
    again()
  }

  /** Mostly whoever leads: that is where it hurts. */
  #any(name: string): Member | undefined {
    const { world, members, operator } = this.#parts
    if (world.chance(name, 0.4) && operator.leader) return operator.leader
    return world.pick(name, [...members.values()])
  }

  #crash(): void {
    const { world, options, members } = this.#parts
    const all = world.chance('crash', 0.1)
    const how = world.chance('crash', options.powerCutShare) ? 'power' : 'kill'
    const victims = all ? [...members.values()] : [this.#any('crash')]
    for (const victim of victims) {
      if (!victim?.life) continue
      this.crashes++
      victim.crash(how)
      this.#noticeClosedLinks(victim.id)
      this.#maybeRot(victim)
      world.after(world.between('crash', 10, 2500), () => victim.start())
    }
  }

  #noticeClosedLinks(id: MemberId): void {
    const { world, options, members } = this.#parts
    if (!options.noticesClosedLinks) return
    for (const member of members.values()) {
      world.after(world.between('crash', 0.1, 3), () => {
        member.whenAwake(() => member.life?.replica?.linkClosed(id))
      })
    }
  }

  /** Only one disk at a time, and only where the others are enough to go on and to replace it. */
  #maybeRot(victim: Member): void {
    const { world, options, operator, members } = this.#parts
    if (!world.chance('rot', options.rotShare)) return
    const { configuration } = operator.leader?.life?.raft ?? {}
    const others = [...members.values()].filter(member => member !== victim)
    const sound =
      configuration?.outgoing.length === 0 && configuration.voters.length >= 3 && operator.voters.length >= 3
    if (sound && others.every(({ broken }) => !broken) && !this.#rotten) {
      this.#rotten = victim.rot()
      world.after(4000, () => operator.replaceBroken())
    }
  }

  #rotten = false

  #partition(): void {
    const { world, network, members } = this.#parts
    const ids = [...members.keys()]
    const kind = Math.floor(world.random('partition').float() * 4)
    const victim = this.#any('partition')?.id
    const side = ids.filter(id => (kind === 0 ? world.chance('partition', 0.5) : id === victim))
    world.trace(() => `partition of kind ${kind} around ${side}`)
    for (const from of ids) {
      for (const to of ids) {
        const across = side.includes(from) !== side.includes(to)
        const blocked =
          kind === 3 ? world.chance('partition', 0.3) : across && (kind !== 2 || side.includes(from))
        if (blocked) network.block(from, to)
      }
    }
    world.after(world.between('partition', 100, 4000), () => network.heal())
  }

  /** A leader with entries that are not committed yet is cut off from all but one, or from everybody. */
  #spite(): void {
    const { world, operator, network, members } = this.#parts
    const { leader } = operator
    const log = leader?.life?.raft?.log
    if (!leader || !log || log.lastIndex === log.committed) return
    network.heal()
    const others = [...members.keys()].filter(id => id !== leader.id)
    const spared = world.chance('spite', 0.5) ? (world.pick('spite', others) ?? 0) : 0
    this.#block(leader.id, spared)
  }

  /** At times nobody else hears from the leader meanwhile, so that nobody knows what is committed. */
  sendsSnapshot(leader: MemberId, to: MemberId): void {
    if (this.#othersCanLead && this.#storesLate()) this.#cutOff(leader, to, 1000)
  }

  /** How long it takes at most. Often whoever sent the snapshot is cut off, so that another one goes on. */
  storesLate(member: Member): number {
    if (!this.#othersCanLead || !this.#storesLate()) return 0
    const leader = member.life?.raft?.leader ?? 0
    if (leader !== 0 && this.#storesLate()) this.#cutOff(leader, 0, 5000)
    return this.#parts.world.between('late stores', 0, this.#parts.options.lateStoreMs)
  }

  #storesLate(): boolean {
    const { world, options } = this.#parts
    return !this.#stopped && world.chance('late stores', options.lateStores)
  }

  get #othersCanLead(): boolean {
    return (this.#parts.operator.leader?.life?.raft?.configuration.voters.length ?? 0) >= 3
  }

  #cutOff(id: MemberId, spared: MemberId, durationMax: number): void {
    const { world, network } = this.#parts
    network.heal()
    this.#block(id, spared)
    world.after(world.between('late stores', durationMax / 10, durationMax), () => network.heal())
  }

  #block(id: MemberId, spared: MemberId): void {
    const { world, network, members } = this.#parts
    for (const other of members.keys()) {
      if (other === id || other === spared) continue
      network.block(id, other)
      network.block(other, id)
    }
    world.trace(() => `member ${id} is cut off from all but ${spared}`)
  }

  #pause(): void {
    const { world } = this.#parts
    this.#any('pause')?.pause(world.between('pause', 20, 3000))
  }

  #freeze(): void {
    const { world, members } = this.#parts
    const duration = world.between('freeze', 100, 1500)
    for (const member of members.values()) member.pause(duration * world.between('freeze', 0.8, 1))
  }

  #stall(): void {
    const { world } = this.#parts
    const duration = world.between('stall', 200, 5000)
    const victim = this.#any('stall')
    world.trace(() => `the disk of ${victim?.id} stalls for ${duration.toFixed(0)} ms`)
    victim?.disk.stall(duration)
  }

  #transfer(): void {
    const { world, operator } = this.#parts
    const { replica, raft } = operator.leader?.life ?? {}
    const target = world.pick('transfer', raft?.configuration.voters ?? [])
    if (replica && target !== undefined && replica.transferLeadership(target)) {
      world.trace(() => `leadership is to go to ${target}`)
    }
  }

  /** A member that ended by itself, as after a failed flush, is started again. */
  #restartWhoIsDown(): void {
    const { world, members } = this.#parts
    world.after(3000, () => {
      for (const member of members.values()) member.start()
      this.#restartWhoIsDown()
    })
  }
}
