/** The sample workload, ready to apply. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** The manifest of `samples/web/processes.yaml`, with the Node that runs this and a node port of the caller's choice. */
export function sampleManifest(nodePort = 30080): string {
  return readFileSync(join(root, 'samples/web/processes.yaml'), 'utf8')
    .replaceAll('__NODE__', process.execPath)
    .replace('nodePort: 30080', `nodePort: ${nodePort}`)
}
