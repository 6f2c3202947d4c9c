import assert from 'node:assert/strict'
import test from 'node:test'
import {
  Cutter,
  FRAME,
  frame,
  parseState,
  stateFrame,
} from '../../../../../../src/runtime/kubelet/runtime/kept/keeper-protocol.ts'

test('a request and frames are cut alike, however they arrive', () => {
  const sent = Buffer.concat([
    Buffer.from('{"do":"watch"}\n'),
    frame(FRAME.stdin, Buffer.from('abc')),
    frame(FRAME.stdinEnd, Buffer.alloc(0)),
    stateFrame({ pid: 7, exitCode: -1_073_741_510 }),
  ])
  for (const size of [1, 3, 7, sent.length]) {
    const seen: unknown[] = []
    const cutter = new Cutter({ hasLine: true })
    for (let at = 0; at < sent.length; at += size) {
      cutter.take(sent.subarray(at, at + size), {
        line: text => seen.push(text),
        frame: (kind, bytes) => seen.push(kind === FRAME.state ? parseState(bytes) : [kind, String(bytes)]),
      })
    }
    assert.deepEqual(seen, [
      '{"do":"watch"}',
      [FRAME.stdin, 'abc'],
      [FRAME.stdinEnd, ''],
      { pid: 7, exitCode: -1_073_741_510 },
    ])
  }
})

test('what would fill the memory is refused', () => {
  const head = Buffer.from([FRAME.stdin, 255, 255, 255, 255])
  assert.throws(() => new Cutter({ hasLine: false }).take(head, { frame: () => {} }), /too long/)
  const line = Buffer.alloc(2 * 1024 * 1024, 'a')
  assert.throws(() => new Cutter({ hasLine: true }).take(line, { frame: () => {} }), /too long/)
})
