/** Reads what a node's directory and machine tell, whether the daemon runs or not. Changes nothing. */
import { X509Certificate } from 'node:crypto'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { arch, cpus, hostname, loadavg, networkInterfaces, release, totalmem, uptime } from 'node:os'
import { join } from 'node:path'
import { readOrEmpty } from '../../host/files.ts'
import type { CertificateFact, LogFacts } from './findings.ts'

/** Of the daemon's log, the end. */
const LOG_BYTES_MAX = 2 * 1024 * 1024
const HOUR_MS = 3_600_000
const STARTING = 'starting'

/** Every certificate in the pki directory, read or not. */
export function readCertificates(directory: string): CertificateFact[] {
  return entries(directory)
    .filter(name => name.endsWith('.crt'))
    .map(file => {
      const name = file.slice(0, -'.crt'.length)
      try {
        const certificate = new X509Certificate(readFileSync(join(directory, file)))
        return {
          name,
          subject: certificate.subject.replaceAll('\n', ', '),
          validFromMs: Date.parse(certificate.validFrom),
          validToMs: Date.parse(certificate.validTo),
        }
      } catch {
        return { name, subject: '', validFromMs: Number.NaN, validToMs: Number.NaN }
      }
    })
}

/** Texts that must not be in the bundle: the keys, and the kubeconfig's own. */
export function readKeys(directory: string): string[] {
  return entries(directory)
    .filter(name => name.endsWith('.key'))
    .map(name => readTail(join(directory, name)))
    .filter(text => text !== '')
}

/** The end of a text file, from the beginning of a line; empty when it cannot be read. */
export function readTail(path: string, bytesMax = LOG_BYTES_MAX): string {
  try {
    const file = openSync(path, 'r')
    try {
      const { size } = fstatSync(file)
      const start = Math.max(0, size - bytesMax)
      const buffer = Buffer.alloc(size - start)
      const read = readSync(file, buffer, 0, buffer.length, start)
      const text = buffer.toString('utf8', 0, read)
      return start === 0 ? text : text.slice(text.indexOf('\n') + 1)
    } finally {
      closeSync(file)
    }
  } catch {
    return ''
  }
}

/** The errors and starts of the last hour; lines that are no JSON are of crashes and say no time. */
export function readLogFacts(log: string, nowMs: number): LogFacts {
  const errors: string[] = []
  let starts = 0
  for (const line of log.split('\n')) {
    const entry = parseLine(line)
    if (entry === undefined || nowMs - Date.parse(entry.time) > HOUR_MS) continue
    if (entry.level === 'error') errors.push(entry.message)
    if (entry.message === STARTING) starts += 1
  }
  return { errors, starts }
}

function parseLine(line: string): { time: string; level: string; message: string } | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const { time, level, message } = JSON.parse(line)
    return typeof time === 'string' && typeof message === 'string' ? { time, level, message } : undefined
  } catch {
    return undefined
  }
}

export interface FileFact {
  readonly path: string
  readonly bytes: number
  readonly modified: string
}

/** The files below a directory, by their paths in it. */
export function readSizes(directory: string): FileFact[] {
  return entries(directory, true).flatMap(path => {
    try {
      const facts = statSync(join(directory, path))
      return facts.isFile() ? [{ path, bytes: facts.size, modified: facts.mtime.toISOString() }] : []
    } catch {
      return []
    }
  })
}

/** MemAvailable, or everything where the kernel does not tell. */
export function memoryAvailable(): number {
  const match = /^MemAvailable: +(\d+) kB$/m.exec(readOrEmpty('/proc/meminfo'))
  return match === null ? totalmem() : Number(match[1]) * 1024
}

/** What the machine is: for the bundle. */
export function hostFacts(): object {
  return {
    hostname: hostname(),
    architecture: arch(),
    kernel: release(),
    system: Object.fromEntries(
      readOrEmpty('/etc/os-release')
        .split('\n')
        .flatMap(line => {
          const [key = '', value] = line.split('=')
          return value === undefined ? [] : [[key, value.replaceAll('"', '')]]
        }),
    ),
    processors: cpus().length,
    load: loadavg(),
    uptimeSeconds: Math.floor(uptime()),
    memory: Object.fromEntries(
      readOrEmpty('/proc/meminfo')
        .split('\n')
        .flatMap(line => {
          const [key = '', value] = line.split(/: +/)
          return value === undefined ? [] : [[key, value]]
        }),
    ),
    addresses: Object.fromEntries(
      Object.entries(networkInterfaces()).map(([name, list]) => [
        name,
        (list ?? []).map(each => each.cidr ?? each.address),
      ]),
    ),
    mounts: readOrEmpty('/proc/mounts').split('\n').filter(Boolean),
  }
}

function entries(directory: string, recursive = false): string[] {
  try {
    return (readdirSync(directory, { recursive }) as string[]).sort()
  } catch {
    return []
  }
}
