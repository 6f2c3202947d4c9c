/** A process with a registry's thread in it: `image-registry-program.ts DIRECTORY`. Says its port once it listens. */
import type { FromRegistry } from '../../src/runtime/image-registry/messages.ts'
import { startRegistryWorker } from '../../src/runtime/image-registry/registry-thread.ts'
import { REGISTRY } from './image-registry.ts'

const [directory = ''] = process.argv.slice(2)
const worker = startRegistryWorker({ ...REGISTRY, directory })
worker.on('message', (message: FromRegistry) => {
  if (message.type === 'listening') process.stdout.write(`${message.port}\n`)
  if (message.type === 'problem') process.stderr.write(`${message.text}\n`)
})
