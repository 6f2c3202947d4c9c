/**
 * The packaged executable for linux-x64: how soon it says its version and a node's status, warm, and how large it is,
 * as it is and compressed. The wall time counts, so measure on a machine that does nothing else.
 */
import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { installCluster } from '../test/support/cluster.ts'
import { madeExecutable } from '../test/support/executable.ts'
import { type Figure, median } from './figure.ts'

const RUNS = 20
const WARM_UP = 3
const GOAL_VERSION_MS = 60
const GOAL_STATUS_MS = 150
const GOAL_MB = 125
const GOAL_COMPRESSED_MB = 40

async function milliseconds(call: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let index = 0; index < WARM_UP + RUNS; index++) {
    const begin = performance.now()
    await call()
    if (index >= WARM_UP) times.push(performance.now() - begin)
  }
  return median(times)
}

function compressedMegabytes(file: string): number {
  const bytes = execFileSync('sh', ['-c', `xz -6 -T1 -c ${file} | wc -c`], { encoding: 'utf8' })
  return Number(bytes) / 1e6
}

export async function measure(): Promise<Figure[]> {
  const program = await madeExecutable('linux-x64')
  const cluster = await installCluster({ program })
  try {
    const of = (figure: string, us: number, unit: string, goal: number): Figure => ({
      ...{ figure, us, unit, goal },
      peer: null,
    })
    return [
      of('mk8s --version', await milliseconds(() => cluster.mk8s(['--version'])), 'ms', GOAL_VERSION_MS),
      of('mk8s status', await milliseconds(() => cluster.mk8s(['status'])), 'ms', GOAL_STATUS_MS),
      of('size', statSync(program).size / 1e6, 'MB', GOAL_MB),
      of('size as xz', compressedMegabytes(program), 'MB', GOAL_COMPRESSED_MB),
    ]
  } finally {
    await cluster.remove()
  }
}
