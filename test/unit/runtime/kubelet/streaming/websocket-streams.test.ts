/** What a program wrote last reaches the client before the status does, however slowly messages go out. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import test from 'node:test'
import type { WebSocket } from 'ws'
import { must } from '../../../../../src/base/assert.ts'
import { CHANNEL } from '../../../../../src/runtime/kubelet/streaming/channels.ts'
import { exitStatus } from '../../../../../src/runtime/kubelet/streaming/exit-status.ts'
import { WEBSOCKET_COMMAND } from '../../../../../src/runtime/kubelet/streaming/protocols.ts'
import { websocketStreams } from '../../../../../src/runtime/kubelet/streaming/websocket-streams.ts'

/** Takes one message at a time, each with its turn of the event loop. */
class SlowSocket extends EventEmitter {
  readonly sent: string[] = []
  send(message: Buffer, done: () => void): void {
    this.sent.push(`${message[0]} ${message.toString('utf8', 1)}`)
    setImmediate(done)
  }
  close(): void {
    this.emit('close')
  }
  pause(): void {}
  resume(): void {}
}

test('all output goes out before the status', async () => {
  const socket = new SlowSocket()
  const protocol = must(WEBSOCKET_COMMAND[0], 'a protocol')
  const options = { stdin: false, stdout: true, stderr: true, tty: false }
  const streams = websocketStreams(socket as unknown as WebSocket, protocol, options)
  for (const text of ['one', 'two', 'three']) streams.stdout?.write(text)
  streams.stderr?.write('oops')
  await streams.finish(exitStatus(['true'], 0))
  const channels = socket.sent.map(message => Number(message.split(' ')[0]))
  assert.equal(channels.at(-1), CHANNEL.error)
  const output = socket.sent.filter(message => message.startsWith('1 ')).map(message => message.slice(2))
  assert.equal(output.join(''), 'onetwothree')
  assert.ok(socket.sent.includes('2 oops'))
})
