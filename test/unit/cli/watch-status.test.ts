import assert from 'node:assert/strict'
import test from 'node:test'
import { plainPaint } from '../../../src/cli/report-error.ts'
import { watchStatus } from '../../../src/cli/watch-status.ts'
import type { NodeStatus } from '../../../src/client/node-status.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { nodeStatus } from '../../support/node-status.ts'

test('in a pipe a watched status is a line for each change', async () => {
  const clock = new ManualClock()
  const interrupted = new AbortController()
  const written: string[] = []
  const components = [{ name: 'kubelet', ok: false, reason: 'no runtime' }]
  const answers: (NodeStatus | undefined)[] = [
    nodeStatus({ uptimeSeconds: 1 }),
    nodeStatus({ uptimeSeconds: 3 }),
    nodeStatus({ ready: false, components }),
    undefined,
  ]
  const ended = watchStatus({
    read: async () => {
      const answer = answers.shift()
      if (answers.length === 0) interrupted.abort()
      else setImmediate(() => clock.advance(2_000))
      return answer
    },
    format: 'pretty',
    isTerminal: false,
    paint: plainPaint,
    write: text => void written.push(text.slice(text.indexOf(' ') + 1)),
    clock,
    signal: interrupted.signal,
  })
  assert.equal(await ended, 130)
  assert.deepEqual(written, ['ready\n', 'not ready: kubelet: no runtime\n', 'not running\n'])
})
