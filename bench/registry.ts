/**
 * The registry's thread beside the disk: pushes of 256 MiB from another process, against the same bytes written to the
 * same disk and flushed, in the same run; and what the process that has the thread needs of memory meanwhile.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Worker } from 'node:worker_threads'
import type { FromRegistry, RegistryConfig } from '../src/runtime/image-registry/messages.ts'
import { startRegistryWorker } from '../src/runtime/image-registry/registry-thread.ts'
import { type Figure, median } from './figure.ts'

const RUNS = 5
const BYTES = 256 * 1024 * 1024
const PIECE_BYTES = 1024 * 1024
/** A push may take twice as long as a plain write. */
const GOAL_RATIO = 2
const GOAL_MEMORY_MB = 64
/** On a disk: what lies in memory has nothing to flush. */
const PARENT = join(import.meta.dirname, '../build')

async function startRegistry(directory: string): Promise<{ worker: Worker; port: number }> {
  const config: RegistryConfig = {
    ...{ directory, addresses: ['127.0.0.1'], port: 0, bytesMax: 100 * BYTES, trusted: [] },
    access: { anonymousPull: 'cluster', anonymousPush: 'cluster', users: {} },
    ...{ tls: null, mirror: null },
    garbage: { intervalMs: 24 * 60 * 60_000, graceMs: 60 * 60_000, untagged: false },
  }
  const worker = startRegistryWorker(config)
  const port = new Promise<number>((resolve, reject) => {
    worker.once('error', reject)
    worker.on('message', (message: FromRegistry) => {
      if (message.type === 'listening') resolve(message.port)
      if (message.type === 'problem') reject(new Error(message.text))
    })
  })
  return { worker, port: await port }
}

/** Seconds. */
function writePlainly(path: string, content: Buffer): number {
  const begin = performance.now()
  const descriptor = openSync(path, 'w')
  for (let at = 0; at < content.length; at += PIECE_BYTES) {
    writeSync(descriptor, content, at, Math.min(PIECE_BYTES, content.length - at))
  }
  fsyncSync(descriptor)
  closeSync(descriptor)
  const seconds = (performance.now() - begin) / 1_000
  rmSync(path)
  return seconds
}

/** Seconds, as the process that pushes has measured them. */
async function push(port: number, seed: number): Promise<number> {
  const program = join(import.meta.dirname, 'registry-load.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [
    program,
    ...[port, BYTES, seed].map(String),
  ])
  return Number(stdout)
}

const residentMb = (): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024

export async function measure(): Promise<Figure[]> {
  const directory = mkdtempSync(join(PARENT, 'bench-registry-'))
  const { worker, port } = await startRegistry(join(directory, 'volume'))
  try {
    await push(port, 0)
    const content = randomBytes(BYTES)
    const before = residentMb()
    let most = before
    const watching = setInterval(() => {
      most = Math.max(most, residentMb())
    }, 20)
    const plain = []
    const pushed = []
    for (let run = 1; run <= RUNS; run++) {
      plain.push(writePlainly(join(directory, 'plain'), content))
      pushed.push(await push(port, run))
    }
    clearInterval(watching)
    const [us, peer] = [median(pushed), median(plain)]
    return [
      {
        figure: `a push of ${BYTES / PIECE_BYTES} MiB, by a plain write and flush of the same bytes`,
        ...{ us: us / peer, peer: 1, unit: 'times as long', goal: GOAL_RATIO },
      },
      {
        figure: 'seconds of that push',
        ...{ us, peer, unit: 's', goal: Number.POSITIVE_INFINITY },
      },
      {
        figure: `what memory grows by while ${RUNS} of them come in`,
        ...{ us: most - before, peer: null, unit: 'MB', goal: GOAL_MEMORY_MB },
      },
    ]
  } finally {
    await worker.terminate()
    rmSync(directory, { recursive: true, force: true })
  }
}
