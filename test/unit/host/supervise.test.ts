/** A daemon is kept running by the same rules, whether a shell does it or mk8s itself. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { readIfThere } from '../../../src/host/files.ts'
import { supervise } from '../../../src/host/supervise.ts'
import { supervisorScript } from '../../../src/host/supervisor-script.ts'
import { run } from '../../support/kubectl.ts'
import { until } from '../../support/until.ts'

interface Watched {
  readonly directory: string
  readonly data: string
  readonly daemon: string
}

type Supervisor = (watched: Watched, signal: AbortSignal) => Promise<void>

async function shell({ directory, data, daemon }: Watched): Promise<void> {
  const script = join(directory, 'supervise.sh')
  writeFileSync(script, supervisorScript)
  const { code } = await run('/bin/sh', [script, data, daemon, 'daemon', '--data-dir', data])
  assert.equal(code, 0)
}

const itself: Supervisor = ({ data, daemon }, signal) =>
  supervise({ dataDir: data, clock: systemClock, program: daemon, signal })

/** Supervises a daemon that appends the time to `starts` and ends well at its last start. */
async function startTimes(
  by: Supervisor,
  { starts, ready }: { starts: number; ready: boolean },
): Promise<number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-supervisor-'))
  const data = join(directory, "da'ta dir")
  mkdirSync(join(data, 'run'), { recursive: true })
  const daemon = join(directory, 'daemon')
  const serves = ready ? 'touch "$3/run/ready"' : ':'
  writeFileSync(
    daemon,
    `#!/bin/sh\ndate +%s%N >>"$3/starts"\n${serves}\nexit $(($(wc -l <"$3/starts") < ${starts}))\n`,
  )
  chmodSync(daemon, 0o700)
  try {
    await by({ directory, data, daemon }, new AbortController().signal)
    assert.equal(readFileSync(join(data, 'run/last-exit'), 'utf8'), '1\n')
    const lines = readFileSync(join(data, 'starts'), 'utf8').trim().split('\n')
    return lines.map(line => Number(BigInt(line) / 1_000_000n))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const gaps = (times: readonly number[]): number[] =>
  times.slice(1).map((time, index) => time - (times[index] ?? 0))

for (const [who, by] of [
  ['a shell', shell],
  ['mk8s', itself],
] as const) {
  test(`a daemon that had served is back after a second at most, however often it dies (${who})`, async () => {
    const [first = 0, ...others] = gaps(await startTimes(by, { starts: 5, ready: true }))
    assert.ok(first < 900, `${first}`)
    for (const gap of others) assert.ok(gap >= 1000 && gap < 1900, `${others}`)
  })

  test(`a daemon that fails before it serves is started ever more slowly (${who})`, async () => {
    const [first = 0, second = 0, third = 0] = gaps(await startTimes(by, { starts: 4, ready: false }))
    assert.ok(first < 900 && second >= 1000 && third >= 2000, `${[first, second, third]}`)
  })
}

test('mk8s ends the daemon when it is told to stop, and does not start it again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-supervisor-'))
  const data = join(directory, 'data')
  mkdirSync(join(data, 'run'), { recursive: true })
  const daemon = join(directory, 'daemon')
  const program = '#!/bin/sh\ntrap "exit 3" TERM\necho begun >>"$3/starts"\nwhile :; do sleep 0.05; done\n'
  writeFileSync(daemon, program, { mode: 0o700 })
  const stopping = new AbortController()
  try {
    const ended = itself({ directory, data, daemon }, stopping.signal)
    await until('the daemon runs', () => readIfThere(join(data, 'starts')) === 'begun\n')
    stopping.abort()
    await ended
    assert.equal(readFileSync(join(data, 'starts'), 'utf8'), 'begun\n')
  } finally {
    stopping.abort()
    rmSync(directory, { recursive: true, force: true })
  }
})
