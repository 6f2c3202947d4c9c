import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { supervisorScript } from '../../../src/host/supervisor-script.ts'
import { run } from '../../support/kubectl.ts'

/** Runs the script over a daemon that appends the time to `starts` and ends well at its last start. */
async function startTimes({ starts, ready }: { starts: number; ready: boolean }): Promise<number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-supervisor-'))
  const data = join(directory, "da'ta dir")
  mkdirSync(join(data, 'run'), { recursive: true })
  const script = join(directory, 'supervise.sh')
  const daemon = join(directory, 'daemon')
  writeFileSync(script, supervisorScript)
  const serves = ready ? 'touch "$1/run/ready"' : ':'
  writeFileSync(
    daemon,
    `#!/bin/sh\ndate +%s%N >>"$1/starts"\n${serves}\nexit $(($(wc -l <"$1/starts") < ${starts}))\n`,
  )
  chmodSync(daemon, 0o700)
  try {
    const { code } = await run('/bin/sh', [script, data, daemon, data])
    assert.equal(code, 0)
    const lines = readFileSync(join(data, 'starts'), 'utf8').trim().split('\n')
    return lines.map(line => Number(BigInt(line) / 1_000_000n))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const gaps = (times: readonly number[]): number[] =>
  times.slice(1).map((time, index) => time - (times[index] ?? 0))

test('a daemon that had served is back after a second at most, however often it dies', async () => {
  const [first = 0, ...others] = gaps(await startTimes({ starts: 5, ready: true }))
  assert.ok(first < 900, `${first}`)
  for (const gap of others) assert.ok(gap >= 1000 && gap < 1900, `${others}`)
})

test('a daemon that fails before it serves is started ever more slowly', async () => {
  const [first = 0, second = 0, third = 0] = gaps(await startTimes({ starts: 4, ready: false }))
  assert.ok(first < 900 && second >= 1000 && third >= 2000, `${[first, second, third]}`)
})
