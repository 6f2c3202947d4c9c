/** The thread that hashes what is pushed, beside the registry's own, which receives and writes meanwhile. */
import { createHash, type Hash } from 'node:crypto'
import { type MessagePort, parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import type { FromHashes, ToHashes } from './hashes.ts'

/** The registry's end of it comes first and once. */
must(parentPort, 'the port to the main thread').once('message', ({ port }: { port: MessagePort }) =>
  serve(port),
)

function serve(port: MessagePort): void {
  const hashes = new Map<number, Hash>()
  const post = (message: FromHashes) => port.postMessage(message)
  port.on('message', (message: ToHashes) => {
    const { id } = message
    switch (message.type) {
      case 'begin':
        return void hashes.set(id, createHash(message.algorithm))
      case 'update': {
        let bytes = 0
        for (const chunk of message.chunks) {
          hashes.get(id)?.update(chunk)
          bytes += chunk.length
          free(chunk)
        }
        return post({ type: 'hashed', id, bytes })
      }
      case 'end':
        post({ type: 'digest', id, hex: hashes.get(id)?.digest('hex') ?? '' })
        return void hashes.delete(id)
      case 'drop':
        return void hashes.delete(id)
    }
  })
  port.on('close', () => process.exit(0))
}

/** At once: otherwise whole collections of this thread would have to find it, which cost a fifth of a push. */
function free({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}
