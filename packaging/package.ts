/** `npm run package`: the executable for linux-x64 and its checksum, in `dist/`. Nothing is downloaded. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { versionLine } from '../src/config/version.ts'
import { addonFilesIn } from '../src/host/assets.ts'
import { bundle } from './bundle.ts'
import { cutSymbols } from './elf.ts'

const root = join(import.meta.dirname, '..')
const work = join(root, 'build/package')
const dist = join(root, 'dist')
const target = 'linux-x64'

if (process.platform !== 'linux' || process.arch !== 'x64') {
  process.stderr.write('npm run package: runs on linux-x64 only so far\n')
  process.exit(6)
}

rmSync(work, { recursive: true, force: true })
mkdirSync(work, { recursive: true })
mkdirSync(dist, { recursive: true })

const addons = join(work, 'addons.json')
writeFileSync(addons, JSON.stringify(addonFilesIn(join(root, 'addons'))))
const bundles = await bundle(root, work, versionLine)
const base = join(work, 'base')
writeFileSync(base, cutSymbols(readFileSync(join(root, `node_modules/node-${target}/bin/node`))), {
  mode: 0o755,
})

const inRoot = (file: string) => relative(root, file)
const output = join(dist, `mk8s-${target}`)
const config = {
  main: inRoot(bundles.loader),
  mainFormat: 'commonjs',
  executable: base,
  output,
  disableExperimentalSEAWarning: true,
  useCodeCache: false,
  useSnapshot: false,
  execArgvExtension: 'none',
  assets: {
    'app.cjs': inRoot(bundles.app),
    ...Object.fromEntries(Object.entries(bundles.workers).map(([name, file]) => [name, inRoot(file)])),
    'addons.json': inRoot(addons),
    'model.json': 'build/model/model.json',
    'descriptions.json': 'build/model/descriptions.json',
    'protobuf.json': 'build/model/protobuf.json',
  },
}
const configFile = join(work, 'sea.json')
writeFileSync(configFile, JSON.stringify(config))
execFileSync(process.execPath, ['--build-sea', configFile], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
})
chmodSync(output, 0o755)

const sum = createHash('sha256').update(readFileSync(output)).digest('hex')
writeFileSync(join(dist, 'SHA256SUMS'), `${sum}  mk8s-${target}\n`)
const megabytes = Math.round(readFileSync(output).length / 1e6)
process.stdout.write(`dist/mk8s-${target}  ${megabytes} MB  sha256 ${sum}\n`)
