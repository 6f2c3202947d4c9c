/** Whether a port can be listened on, and if not, which process holds it, as far as /proc tells. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { systemCodeOf } from '../base/errors.ts'

export type PortState = 'free' | 'taken' | 'no-such-address' | 'not-permitted'

export interface PortFact {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly state: PortState
  /** `nginx (process 812)`, when it is known. */
  readonly holder?: string
}

const LISTEN_STATE = '0A'
const IPV6_GROUPS = 8
const ANY_IPV4 = '0'.repeat(8)
const ANY_IPV6 = '0'.repeat(32)

export async function probePort(name: string, address: string, port: number): Promise<PortFact> {
  const state = await tryListening(address, port)
  const holder = state === 'taken' ? findHolder(address, port) : undefined
  return { name, address, port, state, ...(holder !== undefined && { holder }) }
}

function tryListening(address: string, port: number): Promise<PortState> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', error => {
      const code = systemCodeOf(error)
      if (code === 'EADDRINUSE') resolve('taken')
      else resolve(code === 'EACCES' ? 'not-permitted' : 'no-such-address')
    })
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve('free')))
  })
}

/** The process that listens on the port, on this address or on all. */
function findHolder(address: string, port: number): string | undefined {
  const inodes = new Set([
    ...listeningInodes('/proc/net/tcp', [tableAddress(address), ANY_IPV4], port),
    ...listeningInodes('/proc/net/tcp6', [tableAddress(address), ANY_IPV6], port),
  ])
  if (inodes.size === 0) return undefined
  for (const pid of list('/proc').filter(name => /^[0-9]+$/.test(name))) {
    for (const descriptor of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[([0-9]+)\]$/.exec(link(`/proc/${pid}/fd/${descriptor}`))?.[1]
      if (inode !== undefined && inodes.has(inode))
        return `${read(`/proc/${pid}/comm`).trim()} (process ${pid})`
    }
  }
  return undefined
}

/** As the kernel's table writes an address: in hexadecimal, an IPv6 one in words of four bytes, each reversed. */
function tableAddress(address: string): string {
  const bytes = address.includes(':') ? ipv6Bytes(address) : Buffer.from(address.split('.').map(Number))
  for (let word = 0; word < bytes.length; word += 4) bytes.subarray(word, word + 4).reverse()
  return bytes.toString('hex').toUpperCase()
}

function ipv6Bytes(address: string): Buffer {
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [head = [], tail = []] = address.split('::').map(groups)
  const zeros = Array<string>(Math.max(0, IPV6_GROUPS - head.length - tail.length)).fill('0')
  return Buffer.from([...head, ...zeros, ...tail].map(group => group.padStart(4, '0')).join(''), 'hex')
}

function listeningInodes(table: string, addresses: readonly string[], port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const wanted = addresses.map(address => address + suffix)
  return read(table)
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(fields => wanted.includes(fields[1] ?? '') && fields[3] === LISTEN_STATE)
    .map(fields => fields[9] ?? '')
}

const read = (path: string): string => attempt(() => readFileSync(path, 'utf8'), '')
const link = (path: string): string => attempt(() => readlinkSync(path), '')
const list = (path: string): string[] => attempt(() => readdirSync(path), [])

function attempt<T>(action: () => T, otherwise: T): T {
  try {
    return action()
  } catch {
    return otherwise
  }
}
