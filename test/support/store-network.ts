/**
 * A network of its own for the members of a cluster: one network namespace each, joined by a bridge in a namespace
 * too, so that the machine's own network is untouched. Packets between any two members can be lost, in one direction
 * or both, as on a broken cable: nobody is told.
 */
import { execFile, spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import type { MemberPlace } from './store-cluster.ts'

const run = promisify(execFile)
const NAME = /^mk8s-t(\d+)-/
let networks = 0

/** Why there can be none here; null when there can. */
export async function whyNoNetworks(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const probe = `mk8s-t${process.pid}-probe`
  try {
    await run('ip', ['netns', 'add', probe])
    await run('nsenter', [`--net=/run/netns/${probe}`, 'nft', 'add', 'table', 'inet', 'probe'])
    return null
  } catch (error) {
    return `this machine makes no network namespaces with nft: ${(error as Error).message.split('\n')[0]}`
  } finally {
    await run('ip', ['netns', 'del', probe]).catch(() => {})
  }
}

export class StoreNetwork {
  readonly places: readonly MemberPlace[]
  readonly #fabric: string
  readonly #spaces: readonly string[]

  private constructor(size: number) {
    const name = `mk8s-t${process.pid}-${networks++}`
    this.#fabric = `${name}f`
    this.#spaces = Array.from({ length: size }, (_, at) => `${name}n${at + 1}`)
    this.places = this.#spaces.map((space, at) => ({
      address: addressOf(at + 1),
      prefix: ['nsenter', `--net=/run/netns/${space}`],
    }))
  }

  static async create(size: number): Promise<StoreNetwork> {
    await removeForgotten()
    const network = new StoreNetwork(size)
    try {
      await network.#make()
    } catch (error) {
      await network.remove()
      throw error
    }
    return network
  }

  async #make(): Promise<void> {
    await run('ip', ['netns', 'add', this.#fabric])
    await run('ip', ['-n', this.#fabric, 'link', 'add', 'br0', 'type', 'bridge'])
    await run('ip', ['-n', this.#fabric, 'link', 'set', 'br0', 'up'])
    for (const [at, space] of this.#spaces.entries()) await this.#makeMember(at + 1, space)
  }

  async #makeMember(id: number, space: string): Promise<void> {
    const inside = ['-n', space]
    await run('ip', ['netns', 'add', space])
    const peer = ['peer', 'name', `v${id}`, 'netns', this.#fabric]
    await run('ip', ['link', 'add', 'eth0', 'netns', space, 'type', 'veth', ...peer])
    await run('ip', ['-n', this.#fabric, 'link', 'set', `v${id}`, 'master', 'br0', 'up'])
    await run('ip', [...inside, 'addr', 'add', `${addressOf(id)}/24`, 'dev', 'eth0'])
    await run('ip', [...inside, 'link', 'set', 'eth0', 'up'])
    await run('ip', [...inside, 'link', 'set', 'lo', 'up'])
    await this.#rules(
      id,
      `table inet faults {
         set lost { type ipv4_addr; }
         chain noise { }
         chain input { type filter hook input priority 0; ip saddr @lost drop; iifname "eth0" jump noise; }
       }`,
    )
  }

  /** Whatever `from` sends to `to` is lost; what it gets from there is not. */
  async cutOneWay(from: number, to: number): Promise<void> {
    await this.#rules(to, `add element inet faults lost { ${addressOf(from)} }`)
  }

  async cut(one: number, other: number): Promise<void> {
    await Promise.all([this.cutOneWay(one, other), this.cutOneWay(other, one)])
  }

  /** Nothing passes between members of the one group and all the others. */
  async isolate(group: readonly number[]): Promise<void> {
    const others = this.#spaces.map((_, at) => at + 1).filter(id => !group.includes(id))
    const addresses = (ids: readonly number[]) => ids.map(addressOf).join(', ')
    const lose = (at: number, from: readonly number[]) =>
      this.#rules(at, `add element inet faults lost { ${addresses(from)} }`)
    await Promise.all([...group.map(id => lose(id, others)), ...others.map(id => lose(id, group))])
  }

  /** So many of a hundred packets that reach any member are lost. */
  async lose(percent: number): Promise<void> {
    const rule = `add rule inet faults noise numgen random mod 100 < ${percent} drop`
    await this.#everywhere(`flush chain inet faults noise\n${percent > 0 ? rule : ''}`)
  }

  /** Nothing is cut or lost any more. */
  async heal(): Promise<void> {
    await this.#everywhere('flush set inet faults lost\nflush chain inet faults noise')
  }

  async remove(): Promise<void> {
    for (const space of [...this.#spaces, this.#fabric]) await removeNamespace(space)
  }

  async #everywhere(rules: string): Promise<void> {
    await Promise.all(this.#spaces.map((_, at) => this.#rules(at + 1, rules)))
  }

  async #rules(id: number, rules: string): Promise<void> {
    const child = spawn('nsenter', [`--net=/run/netns/${this.#spaces[id - 1]}`, 'nft', '-f', '-'], {
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    child.stdin.end(`${rules}\n`)
    const code = await new Promise(resolve => child.once('exit', resolve))
    if (code !== 0) throw new Error(`nft ended with ${code} at member ${id}`)
  }
}

const addressOf = (id: number) => `10.99.0.${id}`

async function removeNamespace(space: string): Promise<void> {
  await run('ip', ['netns', 'del', space]).catch(() => {})
}

/** What a test left that could not clean up after itself. */
async function removeForgotten(): Promise<void> {
  for (const space of namespaces()) {
    const [, pid] = NAME.exec(space) ?? []
    if (pid !== undefined && !isRunning(Number(pid))) await removeNamespace(space)
  }
}

function namespaces(): string[] {
  try {
    return readdirSync('/run/netns')
  } catch {
    return []
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
