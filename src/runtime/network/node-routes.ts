/**
 * Routes to the pods of the other nodes: follows the Nodes and makes the kernel's routing table agree, and the tunnel
 * to nodes that are no neighbours. They stay while the daemon does not run, as the pods do.
 */
import { abortable } from '../../base/abortable.ts'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { NODES } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import { runProgram } from '../../host/programs.ts'
import type { Node } from '../../kube/types.ts'
import { changesOf, type LocalLink, type NodeRoute, planRoutes, TUNNEL_DEVICE } from './plan-routes.ts'
import { removeTunnel, setTunnel } from './tunnel.ts'

export interface NodeRoutesParts {
  readonly transport: Transport
  readonly nodeName: string
  /** Told what pods may send at once, when it is found out and whenever it changes. */
  readonly onPodMtu?: (mtu: number) => void
  /** Name of a network configuration that somebody else gave this node; empty while there is none. */
  readonly otherNetwork?: () => string
  /** Runs programs where the routes belong; on this machine unless given. */
  readonly run?: typeof runProgram
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Marks our routes in the kernel's table, so that those of an earlier daemon are found again. */
const PROTOCOL = '77'
const FAMILIES = ['-4', '-6'] as const
const SETTLE_MS = 10
/** Whoever takes an interface down and up again takes its routes away. */
const LOOK_MS = 30_000
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }

export function createNodeRoutes(parts: NodeRoutesParts): Component {
  return new NodeRoutes(parts)
}

/** Takes all of them out of the kernel. */
export async function removeNodeRoutes(): Promise<void> {
  for (const family of FAMILIES) {
    await runProgram('ip', [family, 'route', 'flush', 'proto', PROTOCOL], { accept: 'any' })
  }
  await removeTunnel(runProgram)
}

class NodeRoutes implements Component {
  readonly name = 'node-routes'
  readonly #parts: NodeRoutesParts
  readonly #nodes: Informer<Node>
  readonly #run: typeof runProgram
  readonly #aborter = new AbortController()
  #timer: Timer | null = null
  #applying: Promise<void> = Promise.resolve()
  #failures = 0
  #problem = 'no routes have been set yet'

  constructor(parts: NodeRoutesParts) {
    this.#parts = parts
    this.#run = parts.run ?? runProgram
    const { transport, clock, random, log } = parts
    const client = new KubeClient(transport, { userAgent: 'mk8s-node-routes' })
    this.#nodes = new Informer<Node>({ client, clock, random, log, resource: NODES })
  }

  async prepare(): Promise<void> {}

  /** Returns once there is a route to every node that is known. */
  async start(signal: AbortSignal): Promise<void> {
    this.#nodes.onChange(() => this.#arm(SETTLE_MS))
    this.#nodes.start(this.#aborter.signal)
    await abortable(this.#nodes.synced, signal)
    await this.#apply()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#timer?.cancel()
    await this.#applying
  }

  health(): Health {
    if (this.#problem !== '') return { ok: false, reason: this.#problem }
    const other = this.#parts.otherNetwork?.() ?? ''
    return { ok: true, reason: other === '' ? '' : `pods get their network from ${other}` }
  }

  #arm(delayMs: number): void {
    if (!this.#nodes.isSynced || this.#aborter.signal.aborted) return
    this.#timer?.cancel()
    this.#timer = this.#parts.clock.after(delayMs, () => {
      this.#timer = null
      void this.#apply()
    })
  }

  /** One at a time: each begins with what the kernel has then. */
  #apply(): Promise<void> {
    this.#applying = this.#applying.then(() => this.#applyNow())
    return this.#applying
  }

  async #applyNow(): Promise<void> {
    if (this.#aborter.signal.aborted) return
    const problems: string[] = []
    try {
      const links = await readLinks(this.#run)
      const { nodeName, onPodMtu } = this.#parts
      const { routes, tunnel, podMtu } = planRoutes({ nodes: this.#nodes.list(), nodeName, links })
      if (podMtu !== null) onPodMtu?.(podMtu)
      // Routes need the device.
      if (tunnel !== null) await setTunnel(this.#run, tunnel)
      const { add, remove } = changesOf(await readRoutes(this.#run), routes)
      for (const route of add) problems.push(...(await this.#set(route)))
      for (const { range, via } of remove) await this.#remove(range, via)
      if (tunnel === null) await setTunnel(this.#run, null)
    } catch (error) {
      problems.push(messageOf(error))
    }
    this.#report(problems)
  }

  async #set({ range, via, isTunnel }: NodeRoute): Promise<string[]> {
    const way = isTunnel ? ['dev', TUNNEL_DEVICE, 'onlink'] : []
    const args = ['route', 'replace', range, 'via', via, ...way, 'proto', PROTOCOL]
    const { exitCode, stderr } = await this.#run('ip', args, { accept: 'any' })
    if (exitCode === 0) {
      this.#parts.log.info('pods of another node are reached', { range, via, isTunnel })
      return []
    }
    return [`no route to the pods ${range} at ${via}: ${stderr.trim()}`]
  }

  async #remove(range: string, via: string): Promise<void> {
    await this.#run('ip', ['route', 'del', range, 'via', via, 'proto', PROTOCOL], { accept: 'any' })
    this.#parts.log.info('the pods of a node that is gone are not reached any more', { range, via })
  }

  #report(problems: readonly string[]): void {
    const problem = problems[0] ?? ''
    if (problem !== '' && problem !== this.#problem) {
      this.#parts.log.warn('the pods of a node cannot be reached', { problems })
    }
    this.#problem = problem
    this.#failures = problem === '' ? 0 : this.#failures + 1
    if (this.#timer === null) this.#arm(problem === '' ? LOOK_MS : backoffMs(RETRY, this.#failures))
  }
}

interface ListedLink {
  readonly ifname: string
  readonly mtu: number
  readonly addr_info: readonly {
    readonly family: string
    readonly scope?: string
    readonly local: string
    readonly prefixlen: number
  }[]
}

async function readLinks(run: typeof runProgram): Promise<LocalLink[]> {
  const { stdout } = await run('ip', ['-j', 'addr', 'show'])
  const listed = JSON.parse(stdout.trim() || '[]') as ListedLink[]
  return listed.flatMap(({ ifname, mtu, addr_info }) =>
    addr_info
      .filter(({ family, scope }) => family === 'inet' || (family === 'inet6' && scope === 'global'))
      .map(({ local, prefixlen }) => ({ device: ifname, address: local, prefixLength: prefixlen, mtu })),
  )
}

interface ListedRoute {
  readonly dst: string
  readonly gateway?: string
  readonly dev?: string
}

async function readRoutes(run: typeof runProgram): Promise<NodeRoute[]> {
  const routes: NodeRoute[] = []
  for (const family of FAMILIES) {
    // A kernel without IPv6 has none.
    const { stdout } = await run('ip', ['-j', family, 'route', 'show', 'proto', PROTOCOL], { accept: 'any' })
    for (const { dst, gateway, dev } of JSON.parse(stdout.trim() || '[]') as ListedRoute[]) {
      if (gateway !== undefined) routes.push({ range: dst, via: gateway, isTunnel: dev === TUNNEL_DEVICE })
    }
  }
  return routes
}
