/** A program in a container whose whole output is wanted, as probes and hooks do. */
import type { Readable } from 'node:stream'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { messageOf } from '../../../../base/errors.ts'
import type { ExecResult } from '../runtime.ts'
import type { KeptStreams } from './keeper-client.ts'

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024
const EXIT_NOT_STARTED = 127
const EXIT_KILLED = 137

export interface RunToEndOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  readonly clock: Clock
}

export async function runToEnd(
  streams: KeptStreams,
  { timeoutMs, signal, clock }: RunToEndOptions,
): Promise<ExecResult> {
  const outputs = Promise.all([readAll(streams.stdout, streams), readAll(streams.stderr, streams)])
  const over = new AbortController()
  const late = sleep(clock, timeoutMs, over.signal).then(
    () => 'late' as const,
    () => 'done' as const,
  )
  const abort = () => streams.close()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const failed = await Promise.race([
      streams.started.then(
        () => '',
        error => messageOf(error),
      ),
      late,
    ])
    if (failed !== '' && failed !== 'late')
      return { exitCode: EXIT_NOT_STARTED, stdout: '', stderr: failed, timedOut: false }
    const end = await Promise.race([streams.exited, late])
    streams.close()
    const [stdout, stderr] = await outputs
    signal?.throwIfAborted()
    if (typeof end === 'number') return { exitCode: end, stdout, stderr, timedOut: false }
    return { exitCode: EXIT_KILLED, stdout, stderr, timedOut: true }
  } finally {
    over.abort()
    signal?.removeEventListener('abort', abort)
    streams.close()
  }
}

async function readAll(stream: Readable | null, streams: KeptStreams): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of (stream ?? []) as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size > OUTPUT_BYTES_MAX) streams.close()
    }
  } catch {
    // What came until then is what there is.
  }
  return Buffer.concat(chunks).toString('utf8')
}
