import assert from 'node:assert/strict'
import test from 'node:test'
import { sumOfGroup } from '../../../src/host/process-family.ts'

test('a group of processes uses what its members use, in the forms of Linux and of macOS', () => {
  const output = ['  812  1024     0:01.25', '  812   512    00:00:02', ' 8120 9999 9-00:00:00', '']
  assert.deepEqual(sumOfGroup(output.join('\n'), 812), {
    cpuNanos: 3_250_000_000,
    memoryBytes: 1536 * 1024,
    pageFaults: 0,
    processes: 2,
  })
  assert.equal(sumOfGroup(output.join('\n'), 8120).cpuNanos, 9 * 86_400 * 1e9)
})
