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

export async function probePort(name: string, address: string, port: number): Promise<PortFact> {
  const state = await tryListening(address, port)
  const holder = state === 'taken' ? findHolder(port) : undefined
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

/** The process that listens on the port, on any address. */
function findHolder(port: number): string | undefined {
  const inodes = new Set([
    ...listeningInodes('/proc/net/tcp', port),
    ...listeningInodes('/proc/net/tcp6', port),
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

function listeningInodes(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return read(table)
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(fields => fields[1]?.endsWith(wanted) && fields[3] === LISTEN_STATE)
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
