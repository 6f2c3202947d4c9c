/** Real programs that take and give more bytes than are held. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { feedProgram, readProgram } from '../../../src/host/program-streams.ts'

const PIECE = Buffer.alloc(256 * 1024)
const never = new AbortController().signal
const options = (stallMs = 30_000, signal = never) => ({
  env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
  clock: systemClock,
  stallMs,
  signal,
})

async function* pieces(count: number) {
  for (let index = 0; index < count; index++) yield PIECE
}

describe('a program that is fed', () => {
  it('gets every byte and the end', async () => {
    const script = `test "$(wc -c)" -eq ${8 * PIECE.length} || exit 3; echo done >&2`
    const end = await feedProgram('sh', ['-c', script], pieces(8), options())
    assert.deepEqual(end, { exitCode: 0, stderr: 'done', stalled: false })
  })

  it('may end before it has read all', async () => {
    const end = await feedProgram('sh', ['-c', 'echo full >&2; exit 5'], pieces(1_000), options())
    assert.deepEqual(end, { exitCode: 5, stderr: 'full', stalled: false })
  })

  it('is killed when it stands still, and when the signal fires', async () => {
    const end = await feedProgram('sleep', ['600'], pieces(8), options(100))
    assert.equal(end.stalled, true)
    const stop = new AbortController()
    const fed = feedProgram('sleep', ['600'], pieces(8), options(30_000, stop.signal))
    stop.abort(new Error('enough'))
    await assert.rejects(fed, /enough/)
  })

  it('ends with what the bytes throw', async () => {
    async function* broken() {
      yield PIECE
      throw new Error('no more')
    }
    await assert.rejects(feedProgram('cat', [], broken(), options()), /no more/)
  })

  it('has to be installed', async () => {
    const fed = feedProgram('no-such-program', [], pieces(1), options())
    await assert.rejects(fed, { code: 'host/program-missing' })
  })
})

describe('a program that is read', () => {
  it('gives every byte, and tells how it ended', async () => {
    const bytes = readProgram('sh', ['-c', 'head -c 3000000 /dev/zero; echo why >&2; exit 4'], options())
    let count = 0
    for (;;) {
      const next = await bytes.next()
      if (next.done === true) {
        assert.deepEqual(next.value, { exitCode: 4, stderr: 'why', stalled: false })
        break
      }
      count += next.value.length
    }
    assert.equal(count, 3_000_000)
  })

  it('is killed when nobody reads on', async () => {
    for await (const piece of readProgram('cat', ['/dev/zero'], options())) {
      assert.ok(piece.length > 0)
      break
    }
  })
})
