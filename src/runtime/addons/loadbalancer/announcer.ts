/**
 * The part `loadbalancer`: has this node's kernel answer for the addresses that are its own to announce, and for no
 * other. Addresses have a lifetime in the kernel, so that they go although the daemon was killed or stopped.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Timer } from '../../../base/clock.ts'
import type { Health } from '../../../base/component.ts'
import { messageOf } from '../../../base/errors.ts'
import { EventRecorder } from '../../../client/event-recorder.ts'
import { Informer } from '../../../client/informer.ts'
import { ENDPOINT_SLICES, NODES, SERVICES } from '../../../client/resources.ts'
import { runProgram } from '../../../host/programs.ts'
import { SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Node, Service } from '../../../kube/types.ts'
import type { ParameterValues } from '../addon-object.ts'
import type { Part, PartContext, RunningPart } from '../part.ts'
import { Heartbeats } from './heartbeats.ts'
import {
  addLine,
  type Interface,
  interfaceFor,
  type Placed,
  readInterfaces,
  removeLine,
} from './own-addresses.ts'
import { type Announcement, isAnnounced, planAnnouncements } from './plan-announcements.ts'
import { neighbourArguments } from './tell-neighbours.ts'

const SETTLE_MS = 10
/** So often the kernel is told that an address goes on, and how long it keeps one without being told. */
const REFRESH_MS = 1_000
const LIFETIME_SECONDS = 3
/** Nobody can take over from a node that is alone, so it lets go of nothing. */
const REFRESH_ALONE_MS = 10_000
/** Neighbours may miss a frame. */
const TELL_TIMES = 3
const PROGRAM_MS_MAX = 5_000
const BY_SERVICE = 'service'

type Run = typeof runProgram

/** `run` starts programs in the node's network. */
export const loadBalancerPart = (run: Run = runProgram): Part => ({
  name: 'loadbalancer',
  heeds: ['interfaces'],
  async start(context, parameters, signal): Promise<RunningPart> {
    const announcer = new Announcer(context, parameters, run)
    await announcer.start(signal)
    return { health: () => announcer.health(), stop: () => announcer.stop() }
  },
  async cleanUp(context) {
    await new AddressBook(context.directory, run).change(new Map(), { lifetimeSeconds: null })
  },
})

class Announcer {
  readonly #context: PartContext
  readonly #allowed: readonly string[]
  readonly #run: Run
  readonly #book: AddressBook
  readonly #aborter = new AbortController()
  readonly #services: Informer<Service>
  readonly #slices: Informer<EndpointSlice>
  readonly #nodes: Informer<Node>
  readonly #heartbeats: Heartbeats
  readonly #recorder: EventRecorder
  /** How often neighbours are still to be told, by address. */
  readonly #toTell = new Map<string, number>()
  #timer: Timer | null = null
  #working: Promise<void> | null = null
  #isDirty = false
  #problem = ''

  constructor(context: PartContext, parameters: ParameterValues, run: Run) {
    this.#context = context
    this.#run = run
    this.#allowed = (parameters['interfaces'] as readonly string[] | undefined) ?? []
    this.#book = new AddressBook(context.directory, run)
    const { client, clock, random, log, nodeName } = context
    const common = { client, clock, random, log }
    this.#services = new Informer({ ...common, resource: SERVICES })
    this.#slices = new Informer({ ...common, resource: ENDPOINT_SLICES })
    this.#slices.addIndex(BY_SERVICE, ({ metadata }) => [
      `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME_LABEL] ?? ''}`,
    ])
    this.#nodes = new Informer({ ...common, resource: NODES })
    this.#heartbeats = new Heartbeats({ ...common, nodeName, onChange: () => this.#look(0) })
    this.#recorder = new EventRecorder({ ...common, component: 'mk8s-loadbalancer', host: nodeName })
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.#book.load()
    const informers = [this.#services, this.#slices, this.#nodes]
    for (const informer of informers) {
      informer.onChange(() => this.#look(SETTLE_MS))
      informer.start(this.#aborter.signal)
    }
    this.#heartbeats.start()
    signal.addEventListener('abort', () => void this.stop(), { once: true })
    const all = [...informers.map(({ synced }) => synced), this.#heartbeats.synced]
    void Promise.all(all).then(() => this.#look(0))
  }

  health(): Health {
    const reason = this.#problem || (this.#book.size > 0 ? this.#heartbeats.problem : '')
    return { ok: reason === '', reason }
  }

  /** In order: others take over at once, and what nobody can take over stays. */
  async stop(): Promise<void> {
    if (this.#aborter.signal.aborted) return
    const isAlone = this.#heartbeats.isAlone
    this.#aborter.abort()
    this.#timer?.cancel()
    await this.#working
    if (!isAlone) await this.#book.change(new Map(), { lifetimeSeconds: null }).catch(() => {})
    await this.#heartbeats.stop()
  }

  #look(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#aborter.signal.aborted) return
    this.#timer = this.#context.clock.after(delayMs, () => {
      this.#isDirty = true
      this.#working ??= this.#work().finally(() => {
        this.#working = null
        this.#look(this.#isDirty ? SETTLE_MS : this.#pauseMs())
      })
    })
  }

  /** Until the next one may be dead, or the kernel has to be told again. */
  #pauseMs(): number {
    const refreshMs = this.#heartbeats.isAlone && this.#toTell.size === 0 ? REFRESH_ALONE_MS : REFRESH_MS
    return Math.max(SETTLE_MS, Math.min(this.#heartbeats.nextMs() + 1, refreshMs))
  }

  async #work(): Promise<void> {
    this.#isDirty = false
    const informers = [this.#services, this.#slices, this.#nodes]
    if (!informers.every(({ isSynced }) => isSynced)) return
    try {
      await this.#reconcile()
    } catch (error) {
      if (this.#aborter.signal.aborted) return
      this.#problem = messageOf(error)
      this.#context.log.warn('addresses cannot be announced', { error })
    }
  }

  async #reconcile(): Promise<void> {
    const services = this.#services.list()
    this.#heartbeats.need(services.some(isAnnounced))
    const plan = planAnnouncements({
      services,
      slicesOf: key => this.#slices.byIndex(BY_SERVICE, key),
      alive: this.#heartbeats.alive(),
      node: name => this.#nodes.get(name),
    })
    const mine = [...plan].filter(([, { node }]) => node === this.#context.nodeName)
    if (mine.length === 0 && this.#book.size === 0) {
      this.#problem = ''
      return
    }
    const interfaces = await this.#interfaces()
    const wanted = this.#place(mine, interfaces)
    const lifetimeSeconds = this.#heartbeats.isAlone ? null : LIFETIME_SECONDS
    const gained = await this.#book.change(wanted, { lifetimeSeconds })
    for (const address of this.#toTell.keys()) if (!wanted.has(address)) this.#toTell.delete(address)
    for (const address of gained) this.#onGained(address, plan.get(address))
    await this.#tell(wanted, interfaces)
  }

  async #interfaces(): Promise<Interface[]> {
    const { stdout } = await this.#run('ip', ['-json', 'address', 'show'], { timeoutMs: PROGRAM_MS_MAX })
    return readInterfaces(stdout)
  }

  #place(
    mine: readonly (readonly [string, Announcement])[],
    interfaces: readonly Interface[],
  ): Map<string, Placed> {
    const { nodeAddress } = this.#context
    const wanted = new Map<string, Placed>()
    const problems: string[] = []
    for (const [address] of mine) {
      const found = interfaceFor(address, interfaces, { nodeAddress, allowed: this.#allowed })
      const isForeign = interfaces.some(({ networks }) =>
        networks.some(each => each.startsWith(`${address}/`)),
      )
      if (isForeign && !this.#book.has(address)) problems.push(`${address} is an address of this node itself`)
      else if (found === undefined) problems.push(`no interface of this node can have ${address}`)
      else wanted.set(address, { address, device: found.name })
    }
    this.#problem = problems.join('; ')
    return wanted
  }

  #onGained(address: string, announcement: Announcement | undefined): void {
    const { nodeName, log } = this.#context
    this.#toTell.set(address, TELL_TIMES)
    log.info('an address is announced from here', { address })
    for (const service of announcement?.services ?? []) {
      const message = `announcing ${address} from node "${nodeName}" with protocol "layer2"`
      this.#recorder.record(service, 'Normal', 'nodeAssigned', message)
    }
  }

  async #tell(wanted: ReadonlyMap<string, Placed>, interfaces: readonly Interface[]): Promise<void> {
    const due = [...this.#toTell.keys()].flatMap(address => wanted.get(address) ?? [])
    for (const [device, placed] of Map.groupBy(due, each => each.device)) {
      const found = interfaces.find(({ name }) => name === device)
      const addresses = placed.map(({ address }) => address)
      for (const address of addresses) {
        const left = (this.#toTell.get(address) ?? 0) - 1
        if (left > 0) this.#toTell.set(address, left)
        else this.#toTell.delete(address)
      }
      if (found === undefined || found.hardware === '') continue
      await this.#run('perl', neighbourArguments(found, addresses), { timeoutMs: PROGRAM_MS_MAX })
    }
  }
}

/** What is on this node's interfaces because of us; written down before it is there, for the next daemon. */
class AddressBook {
  readonly #directory: string
  readonly #run: Run
  #placed: ReadonlyMap<string, Placed> | null = null

  constructor(directory: string, run: Run) {
    this.#directory = directory
    this.#run = run
  }

  get size(): number {
    return this.#placed?.size ?? 0
  }

  has(address: string): boolean {
    return this.#placed?.has(address) === true
  }

  async load(): Promise<ReadonlyMap<string, Placed>> {
    const text = await readFile(this.#path, 'utf8').catch(() => '[]')
    const placed = JSON.parse(text) as readonly Placed[]
    this.#placed = new Map(placed.map(each => [each.address, each]))
    return this.#placed
  }

  /** Makes it so, and returns which addresses are new. */
  async change(
    wanted: ReadonlyMap<string, Placed>,
    { lifetimeSeconds }: { readonly lifetimeSeconds: number | null },
  ): Promise<string[]> {
    const before = this.#placed ?? (await this.load())
    const gone = [...before.values()].filter(({ address, device }) => wanted.get(address)?.device !== device)
    const gained = [...wanted.values()].filter(
      ({ address, device }) => before.get(address)?.device !== device,
    )
    if (gained.length > 0) await this.#save([...before.values(), ...gained])
    const lines = [
      ...gone.map(removeLine),
      ...[...wanted.values()].map(each => addLine(each, lifetimeSeconds)),
    ]
    if (lines.length > 0) {
      // An address may have gone by itself, or with its interface.
      const options = { input: `${lines.join('\n')}\n`, timeoutMs: PROGRAM_MS_MAX } as const
      const ran = await this.#run('ip', ['-force', '-batch', '-'], { ...options, accept: 'any' })
      if (ran.exitCode !== 0 && gone.length === 0) throw new Error(ran.stderr.trim())
    }
    this.#placed = new Map(wanted)
    if (gone.length > 0) {
      await this.#save([...wanted.values()])
      for (const { address } of gone) await this.#forgetFlows(address)
    }
    return gained.map(({ address }) => address)
  }

  /** Connections that came in here go on elsewhere, and begin anew if the address comes back. */
  async #forgetFlows(address: string): Promise<void> {
    const family = address.includes(':') ? ['-f', 'ipv6'] : []
    const options = { accept: 'any', timeoutMs: PROGRAM_MS_MAX } as const
    await this.#run('conntrack', ['-D', ...family, '--orig-dst', address], options).catch(() => {})
  }

  get #path(): string {
    return join(this.#directory, 'addresses.json')
  }

  async #save(placed: readonly Placed[]): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    await writeFile(`${this.#path}.new`, JSON.stringify(placed))
    await rename(`${this.#path}.new`, this.#path)
  }
}
