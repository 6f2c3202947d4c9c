/** What is pure about streaming: channels, terminal sizes, protocol choice, the Status at the end, ports. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { decodeMessage, encodeMessage } from '../../../../../src/runtime/kubelet/streaming/channels.ts'
import { parseStreamOptions } from '../../../../../src/runtime/kubelet/streaming/client-streams.ts'
import {
  encodeStatus,
  exitStatus,
  failureStatus,
} from '../../../../../src/runtime/kubelet/streaming/exit-status.ts'
import { parsePorts } from '../../../../../src/runtime/kubelet/streaming/port-forward.ts'
import {
  choose,
  parseProtocols,
  SPDY_COMMAND,
  WEBSOCKET_COMMAND,
} from '../../../../../src/runtime/kubelet/streaming/protocols.ts'
import { TerminalSizes } from '../../../../../src/runtime/kubelet/streaming/terminal-sizes.ts'

test('a channel message is read as it was written, as bytes and as base64', () => {
  const data = Buffer.from([0, 1, 2, 254, 255])
  for (const isBase64 of [false, true]) {
    const message = encodeMessage(2, data, isBase64)
    assert.equal(typeof message, isBase64 ? 'string' : 'object')
    assert.deepEqual(decodeMessage(Buffer.from(message), isBase64), { channel: 2, data })
  }
  assert.equal(decodeMessage(Buffer.alloc(0), false), null)
  assert.equal(decodeMessage(Buffer.from('xyz'), true), null)
})

test('sizes are read from JSON that is cut anywhere', () => {
  const text = '{"Width":80,"Height":24}\n{"Width":120,"Height":40}\n'
  for (let at = 1; at < text.length; at += 1) {
    const sizes = new TerminalSizes()
    const seen = [sizes.push(Buffer.from(text.slice(0, at))), sizes.push(Buffer.from(text.slice(at)))]
    assert.deepEqual(
      seen.findLast(size => size !== null),
      { width: 120, height: 40 },
      `cut at ${at}`,
    )
  }
  const sizes = new TerminalSizes()
  assert.equal(sizes.push(Buffer.from('{"Width":-1,"Height":24}')), null)
  assert.equal(sizes.push(Buffer.from('{"Width":"80; reboot","Height":24}')), null)
  assert.equal(sizes.push(Buffer.from('}{')), null)
})

test('the first protocol of the client that is known is taken', () => {
  assert.equal(
    choose(parseProtocols('v9.channel.k8s.io, v5.channel.k8s.io,v4.channel.k8s.io'), WEBSOCKET_COMMAND)
      ?.version,
    5,
  )
  assert.equal(choose(parseProtocols('v5.channel.k8s.io, v4.channel.k8s.io'), SPDY_COMMAND)?.version, 4)
  assert.equal(choose(['base64.channel.k8s.io'], WEBSOCKET_COMMAND)?.isBase64, true)
  assert.equal(choose(['nonsense'], WEBSOCKET_COMMAND), undefined)
})

test('the end of a program is a Status, or its text for old clients', () => {
  const failed = exitStatus(['sh', '-c', 'exit 3'], 3)
  assert.deepEqual(failed.details, { causes: [{ reason: 'ExitCode', message: '3' }] })
  assert.equal(failed.reason, 'NonZeroExitCode')
  assert.deepEqual(JSON.parse(encodeStatus(failed, 4).toString()), failed)
  assert.match(
    encodeStatus(failed, 1).toString(),
    /^command terminated with non-zero exit code: .*exit code 3$/,
  )
  assert.equal(encodeStatus(exitStatus(['true'], 0), 1).length, 0)
  assert.equal(JSON.parse(encodeStatus(exitStatus(['true'], 0), 5).toString()).status, 'Success')
  assert.equal(
    failureStatus('executing command in container', 'no').message,
    'Internal error occurred: error executing command in container: no',
  )
})

test('streams and ports come from the query', () => {
  const of = (text: string) => parseStreamOptions(new URLSearchParams(text))
  assert.deepEqual(of('input=1&output=1&error=1&tty=1'), {
    stdin: true,
    stdout: true,
    stderr: false,
    tty: true,
  })
  assert.equal(of('tty=1'), 'you must specify at least 1 of stdin, stdout, stderr')
  assert.deepEqual(parsePorts(new URLSearchParams('port=80,81&port=82')), [80, 81, 82])
  assert.equal(parsePorts(new URLSearchParams('port=0')), 'unable to parse "0" as a port')
  assert.equal(parsePorts(new URLSearchParams('port=70000')), 'unable to parse "70000" as a port')
  assert.equal(parsePorts(new URLSearchParams()), 'query parameter "port" is required')
})
