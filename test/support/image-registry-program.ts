/** A process with a registry's thread in it: `image-registry-program.ts DIRECTORY`. Says its port once it listens. */
import { startWorker } from '../../src/host/worker.ts'
import type { FromRegistry, ToRegistry } from '../../src/runtime/image-registry/messages.ts'
import { REGISTRY } from './image-registry.ts'

const [directory = ''] = process.argv.slice(2)
const worker = startWorker('registry', {})
worker.on('message', (message: FromRegistry) => {
  if (message.type === 'listening') process.stdout.write(`${message.port}\n`)
  if (message.type === 'problem') process.stderr.write(`${message.text}\n`)
})
worker.postMessage({ type: 'open', config: { ...REGISTRY, directory } } satisfies ToRegistry)
