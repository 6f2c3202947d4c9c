/** Processes that serve etcd's API on a unix socket: members of ours and Debian's etcd, alone or three of them. */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { systemRandom } from '../src/base/random.ts'
import { generateKey, issueAuthority, issueLeaf } from '../src/runtime/pki/issue.ts'
import { bytesIn, GrpcClient, numberIn } from '../test/support/grpc-client.ts'
import { until } from '../test/support/until.ts'
import { type Load, type Outcome, putOver } from './put-load.ts'

const CLOCK_TICKS_PER_SECOND = 100
const START_MS = 60_000
const HOUR_MS = 3_600_000
const QUOTA_BYTES = 8 * 1024 ** 3
/** etcd makes a socket of this name in its working directory. */
const SOCKET = 'localhost:1'

export interface Served {
  readonly pid: number
  readonly path: string
}

export const hasEtcd = (): boolean => spawnSync('etcd', ['--version']).status === 0

export function cpuSecondsOf(servers: readonly Served[]): number {
  return servers.reduce((sum, { pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return sum + (Number(stat[11]) + Number(stat[12])) / CLOCK_TICKS_PER_SECOND
  }, 0)
}

export function residentMb({ pid }: Served): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** The load client on node:http2, in a process of its own. */
export class LoadClient {
  readonly #child = fork(join(import.meta.dirname, 'load-client.ts'))

  get pid(): number {
    return this.#child.pid ?? 0
  }

  run(path: string, load: Load): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', (answer: { outcome?: Outcome; error?: string }) => {
        if (answer.outcome === undefined) reject(new Error(answer.error))
        else resolve(answer.outcome)
      })
      this.#child.send({ path, load })
    })
  }

  close(): void {
    this.#child.disconnect()
  }
}

interface EtcdMember {
  readonly directory: string
  readonly args: readonly string[]
  child: ChildProcess | null
}

/** One etcd or several, with its own timers and with fsync, as Debian ships it; TLS between members. */
export class EtcdCluster {
  readonly #members: readonly EtcdMember[]

  private constructor(members: readonly EtcdMember[]) {
    this.#members = members
  }

  static async start(directory: string, size: number): Promise<EtcdCluster> {
    mkdirSync(directory, { recursive: true })
    const ports = await freePorts(size)
    const tls = await writeCertificates(directory)
    const urls = ports.map(port => `https://127.0.0.1:${port}`)
    const cluster = urls.map((url, at) => `m${at}=${url}`).join(',')
    const members = urls.map((url, at) => {
      const own = join(directory, `m${at}`)
      mkdirSync(own)
      const args = [
        ...['--name', `m${at}`, '--data-dir', 'data', '--log-level', 'error'],
        ...['--listen-client-urls', `unix://${SOCKET}`, '--advertise-client-urls', `http://${SOCKET}`],
        ...['--listen-peer-urls', url, '--initial-advertise-peer-urls', url, '--initial-cluster', cluster],
        ...['--quota-backend-bytes', String(QUOTA_BYTES), ...tls],
      ]
      return { directory: own, args, child: null }
    })
    const started = new EtcdCluster(members)
    await started.startAll()
    return started
  }

  get alive(): readonly Served[] {
    return this.#members.flatMap(({ child, directory }) =>
      child?.pid === undefined ? [] : [{ pid: child.pid, path: join(directory, SOCKET) }],
    )
  }

  /** Starts whoever does not run, and waits until everybody answers a put. */
  async startAll(): Promise<void> {
    for (const member of this.#members) if (member.child === null) begin(member)
    for (const { path } of this.alive) await until('etcd answers', () => putOnce(path), START_MS)
  }

  async leader(): Promise<Served> {
    return await until('etcd has a leader', async () => {
      for (const served of this.alive) if (await leads(served.path)) return served
      return null
    })
  }

  async kill({ pid }: Served): Promise<void> {
    const member = this.#members.find(({ child }) => child?.pid === pid)
    const child = member?.child
    if (member === undefined || !child) return
    const gone = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    member.child = null
    // What a killed one leaves would be in the way of its next life.
    rmSync(join(member.directory, SOCKET), { force: true })
  }

  async close(): Promise<void> {
    for (const served of this.alive) await this.kill(served)
  }
}

function begin(member: EtcdMember): void {
  member.child = spawn('etcd', [...member.args], { cwd: member.directory, stdio: 'ignore' })
}

export async function putOnce(path: string): Promise<boolean> {
  const client = new GrpcClient({ path })
  try {
    await putOver(client, '/bench/put', Buffer.from('x'))
    return true
  } finally {
    client.close()
  }
}

async function leads(path: string): Promise<boolean> {
  const client = new GrpcClient({ path })
  try {
    const { messages } = await client.call('/etcdserverpb.Maintenance/Status', () => {})
    const [header] = bytesIn(messages[0], 1)
    return numberIn(messages[0], 4) !== 0 && numberIn(messages[0], 4) === numberIn(header, 2)
  } finally {
    client.close()
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => new Promise(resolve => server.once('listening', resolve))))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Writes an authority and a certificate for the loopback address; returns etcd's flags for them. */
async function writeCertificates(directory: string): Promise<string[]> {
  const now = Date.now()
  const validity = { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + 24 * HOUR_MS) }
  const authority = await issueAuthority('peers', validity, systemRandom)
  const key = generateKey()
  const plan = {
    name: 'peer',
    authority: 'peer-ca',
    commonName: 'peer',
    usages: ['client', 'server'],
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    uris: [],
  } as const
  const certificate = await issueLeaf(plan, { authority, key, validity, random: systemRandom })
  const write = (name: string, pem: string) => {
    const path = join(directory, name)
    writeFileSync(path, pem, { mode: 0o600 })
    return path
  }
  return [
    ...['--peer-client-cert-auth', '--peer-trusted-ca-file', write('ca.crt', authority.certificate)],
    ...['--peer-cert-file', write('peer.crt', certificate), '--peer-key-file', write('peer.key', key)],
  ]
}
