/**
 * A real S3 server for tests: OpenStack Swift with its S3 interface, from Debian's package python3-swift, its four
 * servers on loopback ports with their data in a directory. It checks signatures, hashes, regions and clocks.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

/** Debian's own Python, which sees Debian's packages. */
const PYTHON = '/usr/bin/python3'
const STORES = ['account', 'container', 'object'] as const

const RUN_SERVER = `
import sys
from swift.common import utils, wsgi
conf, app, directory = sys.argv[1:]
utils.set_swift_dir(directory)
sys.exit(wsgi.run_wsgi(conf, app))
`
/** Where everything of a kind lies: on the one device. */
const BUILD_RING = `
import sys
from swift.common.ring import RingBuilder
path, port = sys.argv[1:]
builder = RingBuilder(1, 1, 0)
builder.add_dev(dict(id=0, region=1, zone=1, weight=1, ip='127.0.0.1', port=int(port), device='d1'))
builder.rebalance()
builder.get_ring().save(path)
`

export const SWIFT_REGION = 'eu-test-1'
export const SWIFT_ACCESS_KEY = 'test:writer'
export const SWIFT_SECRET_KEY = 'a/secret+with=odd&characters'
/** The smallest part of an upload but the last, far below Amazon's 5 MiB so that tests need few bytes. */
export const SWIFT_PART_BYTES_MIN = 64 * 1024
/** How many keys one list brings. */
export const SWIFT_LIST_MAX = 5

/** Why the tests that need it are skipped here; null where it can be started. */
export function whyNoSwift(): string | null {
  try {
    execFileSync(PYTHON, ['-c', 'import swift.common.middleware.s3api.s3api'], { stdio: 'ignore' })
    return null
  } catch {
    return 'python3-swift is not installed (sh scripts/setup.sh --for-tests installs it as root on Debian)'
  }
}

export interface SwiftOptions {
  /** PEM files for HTTPS. */
  readonly tls?: { readonly certificate: string; readonly key: string }
  /** Buckets may be part of the name of the host below this domain. */
  readonly domain?: string
}

export class Swift {
  #directory = ''
  readonly #options: SwiftOptions
  readonly #processes = new Map<string, ChildProcess>()
  #output = ''
  port = 0

  constructor(options: SwiftOptions = {}) {
    this.#options = options
  }

  get endpoint(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`
  }

  /** Where the bytes of objects lie. */
  get objects(): string {
    return join(this.#directory, 'devices/d1/objects')
  }

  async start(): Promise<void> {
    this.#directory = mkdtempSync(join(tmpdir(), 'mk8s-swift-'))
    const ports = await freePorts(STORES.length + 1)
    this.port = ports[STORES.length] ?? 0
    mkdirSync(join(this.#directory, 'devices/d1'), { recursive: true })
    this.#write('swift.conf', ['[swift-hash]', 'swift_hash_path_suffix = test'])
    for (const [index, store] of STORES.entries()) {
      this.#buildRing(store, ports[index] ?? 0)
      this.#write(`${store}.conf`, storeConfig(store, ports[index] ?? 0, this.#directory))
    }
    this.#write('proxy.conf', proxyConfig(this.port, this.#directory, this.#options))
    for (const name of [...STORES, 'proxy']) this.#spawn(name)
    await this.#answers()
  }

  /** Ends the server that clients talk to, at once and in the middle of whatever it does. */
  async killProxy(): Promise<void> {
    const child = this.#processes.get('proxy')
    if (child === undefined) return
    this.#processes.delete('proxy')
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async startProxy(): Promise<void> {
    this.#spawn('proxy')
    await this.#answers()
  }

  /** Stops it from answering, without closing anything. */
  pauseProxy(): void {
    this.#processes.get('proxy')?.kill('SIGSTOP')
  }

  resumeProxy(): void {
    this.#processes.get('proxy')?.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    const children = [...this.#processes.values()]
    this.#processes.clear()
    await Promise.all(
      children.map(async child => {
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        if (child.exitCode === null && child.signalCode === null) await ended
      }),
    )
    if (this.#directory !== '') rmSync(this.#directory, { recursive: true, force: true })
  }

  #write(name: string, lines: readonly string[]): void {
    writeFileSync(join(this.#directory, name), `${lines.join('\n')}\n`)
  }

  #buildRing(store: string, port: number): void {
    const ring = join(this.#directory, `${store}.ring.gz`)
    execFileSync(PYTHON, ['-c', BUILD_RING, ring, String(port)], { stdio: 'ignore' })
  }

  #spawn(name: string): void {
    const args = ['-c', RUN_SERVER, join(this.#directory, `${name}.conf`), `${name}-server`, this.#directory]
    const child = spawn(PYTHON, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (text: Buffer) => {
      this.#output = `${this.#output}${text}`.slice(-4_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    this.#processes.set(name, child)
  }

  async #answers(): Promise<void> {
    await until('Swift answers', async () => await answers(this.port)).catch(error => {
      throw new Error(`Swift does not start: ${this.#output}`, { cause: error })
    })
  }
}

async function answers(port: number): Promise<boolean> {
  return await new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

const common = (port: number, directory: string): string[] => [
  '[DEFAULT]',
  'bind_ip = 127.0.0.1',
  `bind_port = ${port}`,
  'workers = 0',
  'user =',
  'log_level = WARNING',
  `swift_dir = ${directory}`,
]

const storeConfig = (store: string, port: number, directory: string): string[] => [
  ...common(port, directory),
  `devices = ${join(directory, 'devices')}`,
  'mount_check = false',
  'disable_fallocate = true',
  '[pipeline:main]',
  `pipeline = ${store}-server`,
  `[app:${store}-server]`,
  `use = egg:swift#${store}`,
]

const proxyConfig = (port: number, directory: string, { tls, domain }: SwiftOptions): string[] => [
  ...common(port, directory),
  ...(tls === undefined ? [] : [`cert_file = ${tls.certificate}`, `key_file = ${tls.key}`]),
  '[pipeline:main]',
  'pipeline = catch_errors cache listing_formats s3api tempauth bulk slo proxy-server',
  '[app:proxy-server]',
  'use = egg:swift#proxy',
  'account_autocreate = true',
  'allow_account_management = true',
  'node_timeout = 60',
  '[filter:s3api]',
  'use = egg:swift#s3api',
  `location = ${SWIFT_REGION}`,
  `min_segment_size = ${SWIFT_PART_BYTES_MIN}`,
  `max_bucket_listing = ${SWIFT_LIST_MAX}`,
  ...(domain === undefined ? [] : [`storage_domain = ${domain}`]),
  // The users' filter wants to see a cache, and goes on without one that answers.
  '[filter:cache]',
  'use = egg:swift#memcache',
  'memcache_servers = 127.0.0.1:1',
  '[filter:tempauth]',
  'use = egg:swift#tempauth',
  `user_${SWIFT_ACCESS_KEY.replace(':', '_')} = ${SWIFT_SECRET_KEY} .admin`,
  'user_test_reader = reader',
  ...['catch_errors', 'listing_formats', 'bulk', 'slo'].flatMap(name => [
    `[filter:${name}]`,
    `use = egg:swift#${name}`,
  ]),
]

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map(server => once(server.listen(0, '127.0.0.1'), 'listening')))
  const ports = servers.map(server => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}
