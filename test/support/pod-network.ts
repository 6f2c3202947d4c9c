/** A node with routed pods and a neighbour outside, as network namespaces; nothing of it touches the host's network. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { must } from '../../src/base/assert.ts'
import { runProgram } from '../../src/host/programs.ts'

export type Carrier = 'tcp' | 'udp'

/** Says who it is, and who asks. */
const SERVER = `
const [name, host, ...ports] = process.argv.slice(1)
const tell = address => name + ' ' + address.replace('::ffff:', '')
let open = ports.length * 2
const ready = () => --open || console.log('ready')
for (const port of ports.map(Number)) {
  require('net').createServer(s => { s.on('error', () => {}); s.end(tell(s.remoteAddress)) })
    .listen(port, host, ready)
  const udp = require('dgram').createSocket(host === '::' ? 'udp6' : 'udp4')
  udp.on('message', (_, from) => udp.send(tell(from.address), from.port, from.address))
  udp.bind(port, ready)
}`
/** Prints the answer, or `refused`, or `silent`. */
const CLIENT = `
const [carrier, host, port, source, limit] = process.argv.slice(1)
const end = word => { console.log(word); process.exit() }
setTimeout(() => end('silent'), Number(limit))
if (carrier === 'tcp') {
  const s = require('net').createConnection({ host, port: Number(port), noDelay: true })
  s.on('data', d => end(String(d))).on('error', e => end(e.code === 'ECONNREFUSED' ? 'refused' : e.code))
} else {
  const s = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
  s.on('message', d => end(String(d))).on('error', e => end(e.code === 'ECONNREFUSED' ? 'refused' : e.code))
  s.bind(Number(source), () => s.connect(Number(port), host, () => s.send('?')))
}`
const SILENT_MS = 700

export interface AskOptions {
  readonly carrier?: Carrier
  /** The port to ask from; any unless given. */
  readonly from?: number
}

export class PodNetwork {
  readonly #hasIpv6: boolean
  readonly #prefix = `mk8s-p${process.pid}`
  readonly #spaces: string[] = []
  readonly #servers: { kill(signal: NodeJS.Signals): boolean }[] = []

  /** `node` at 192.0.2.1 and 10.1.0.1; `outside` at 192.0.2.100; with IPv6 also at 2001:db8::1 and ::100. */
  constructor(hasIpv6 = false) {
    this.#hasIpv6 = hasIpv6
    for (const name of ['node', 'outside']) this.#addSpace(name)
    this.ip(
      'node',
      'link',
      'add',
      'eth0',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      this.#space('outside'),
    )
    this.ip('node', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0')
    this.ip('outside', 'addr', 'add', '192.0.2.100/24', 'dev', 'eth0')
    for (const name of ['node', 'outside']) this.ip(name, 'link', 'set', 'eth0', 'up')
    this.ip('node', 'route', 'add', 'default', 'via', '192.0.2.100')
    this.ip('outside', 'route', 'add', 'default', 'via', '192.0.2.1')
    if (hasIpv6) this.#addIpv6()
    for (const setting of ['ip_forward', 'conf/all/route_localnet']) {
      execFileSync('nsenter', [...this.#enter('node'), 'sh', '-c', `echo 1 >/proc/sys/net/ipv4/${setting}`])
    }
  }

  ip(name: string, ...args: string[]): string {
    return execFileSync('ip', ['-n', this.#space(name), ...args], { encoding: 'utf8' })
  }

  #addIpv6(): void {
    const own = { node: '2001:db8::1', outside: '2001:db8::100' } as const
    for (const name of ['node', 'outside'] as const) {
      this.ip(name, 'addr', 'add', `${own[name]}/64`, 'dev', 'eth0', 'nodad')
      const other = name === 'node' ? own.outside : own.node
      this.ip(name, '-6', 'route', 'add', 'default', 'via', other)
    }
    const forwarding = 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    execFileSync('nsenter', [...this.#enter('node'), 'sh', '-c', forwarding])
  }

  /** Routed, as CNI's ptp does it. */
  addPod(name: string, address: string, address6?: string): void {
    this.#addSpace(name)
    this.ip(
      'node',
      'link',
      'add',
      `v${name}`,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      this.#space(name),
    )
    this.ip('node', 'addr', 'add', '10.1.0.1/32', 'dev', `v${name}`)
    this.ip('node', 'link', 'set', `v${name}`, 'up')
    this.ip('node', 'route', 'add', `${address}/32`, 'dev', `v${name}`)
    this.ip(name, 'addr', 'add', `${address}/32`, 'dev', 'eth0')
    this.ip(name, 'link', 'set', 'eth0', 'up')
    this.ip(name, 'route', 'add', '10.1.0.1', 'dev', 'eth0')
    this.ip(name, 'route', 'add', 'default', 'via', '10.1.0.1')
    if (address6 === undefined) return
    const gateway = 'fd00:1::1'
    this.ip('node', 'addr', 'add', `${gateway}/128`, 'dev', `v${name}`, 'nodad')
    this.ip('node', '-6', 'route', 'add', `${address6}/128`, 'dev', `v${name}`)
    this.ip(name, 'addr', 'add', `${address6}/128`, 'dev', 'eth0', 'nodad')
    this.ip(name, '-6', 'route', 'add', gateway, 'dev', 'eth0')
    this.ip(name, '-6', 'route', 'add', 'default', 'via', gateway, 'dev', 'eth0')
  }

  /** TCP and UDP. */
  async serve(name: string, ports: readonly number[]): Promise<void> {
    const host = this.#hasIpv6 ? '::' : '0.0.0.0'
    const words = [...this.#enter(name), process.execPath, '-e', SERVER, name, host, ...ports.map(String)]
    const child = spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#servers.push(child)
    await once(must(child.stdout as Readable | null, 'a pipe'), 'data')
  }

  async ask(name: string, host: string, port: number, options: AskOptions = {}): Promise<string> {
    const { carrier = 'tcp', from = 0 } = options
    const words = [...this.#enter(name), process.execPath, '-e', CLIENT, carrier, host]
    const { stdout } = await runProgram('nsenter', [...words, `${port}`, `${from}`, `${SILENT_MS}`])
    return stdout.trim()
  }

  /** Runs programs on the node. */
  get run(): typeof runProgram {
    return (program, args, options) =>
      runProgram('nsenter', [...this.#enter('node'), program, ...args], options)
  }

  remove(): void {
    for (const server of this.#servers) server.kill('SIGKILL')
    for (const space of this.#spaces) execFileSync('ip', ['netns', 'delete', space])
  }

  #addSpace(name: string): void {
    execFileSync('ip', ['netns', 'add', this.#space(name)])
    this.#spaces.push(this.#space(name))
    this.ip(name, 'link', 'set', 'lo', 'up')
    if (!this.#hasIpv6) return
    // Addresses are ready at once: nobody else could have them.
    const ready = 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
    execFileSync('nsenter', [...this.#enter(name), 'sh', '-c', ready])
  }

  #space(name: string): string {
    return `${this.#prefix}-${name}`
  }

  #enter(name: string): string[] {
    return [`--net=/run/netns/${this.#space(name)}`]
  }
}
