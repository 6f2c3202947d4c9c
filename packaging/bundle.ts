/** esbuild's part: the program, the workers and the loader, each one CommonJS file of ASCII. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BuildOptions, build, type Metafile } from 'esbuild'
import { MK8S_VERSION, versionLine } from '../src/config/version.ts'

/** The commit that is packaged, and its time: one commit makes one executable, whenever it is packaged. */
export function commitInfo(): { readonly commit: string; readonly date: string } {
  try {
    const [commit = '', time = ''] = execFileSync('git', ['show', '-s', '--format=%H %cI'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split(' ')
    return { commit, date: new Date(time).toISOString().replace(/\.\d+Z$/, 'Z') }
  } catch {
    // A copy of the sources without their history has neither.
    return { commit: '', date: '' }
  }
}

const { commit, date } = commitInfo()

/** What differs between executables of one commit. */
export interface Release {
  readonly version: string
  /** PEM of those whose releases it takes. */
  readonly keys: readonly string[]
}

const common: BuildOptions & { readonly define: Record<string, string> } = {
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'cjs',
  // The loader's script cannot import(); what is lazy in the sources becomes a lazy require.
  supported: { 'dynamic-import': false },
  minify: true,
  keepNames: true,
  legalComments: 'none',
  logLevel: 'warning',
  define: {
    'process.env.NODE_ENV': '"production"',
    MK8S_BUNDLED: 'true',
    MK8S_GIT_COMMIT: JSON.stringify(commit),
    MK8S_BUILD_DATE: JSON.stringify(date),
    'import.meta.url': 'mk8sModuleUrl',
  },
  banner: { js: 'const mk8sModuleUrl=require("node:url").pathToFileURL(__filename).href;' },
  external: ['pnpapi', 'ts-node', 'typescript', 'tsx'],
}

/** A worker runs from its source text, so it has no file name of its own. */
const workerBanner = { js: 'const mk8sModuleUrl="file:///mk8s-worker.cjs";' }

/** Replaces every character above 0x7f by its escape, so that the file can be read as one-byte text. */
function toAscii(file: string): void {
  const text = readFileSync(file, 'utf8')
  const ascii = text.replace(/[^\0-\x7f]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  writeFileSync(file, ascii)
}

const WORKERS = [
  ['raft', 'store'],
  ['store', 'store'],
  ['dns', 'dns'],
  ['registry', 'image-registry'],
  ['hash', 'image-registry'],
  ['ingress', 'ingress'],
] as const

export interface Bundles {
  readonly app: string
  readonly loader: string
  readonly workers: Readonly<Record<string, string>>
  /** Folders in `node_modules` of the npm packages that are in the bundles. */
  readonly packages: readonly string[]
}

const PACKAGE = /^(node_modules\/(?:@[^/]+\/)?[^/]+(?:\/node_modules\/(?:@[^/]+\/)?[^/]+)*)\//

function packagesOf({ inputs }: Metafile): string[] {
  return Object.keys(inputs).flatMap(file => PACKAGE.exec(file)?.[1] ?? [])
}

/** Writes the bundles into `directory` and returns their paths. */
export async function bundle(root: string, directory: string, release: Release): Promise<Bundles> {
  const app = join(directory, 'app.cjs')
  const define = {
    ...common.define,
    MK8S_PACKAGED_VERSION: JSON.stringify(release.version),
    MK8S_RELEASE_KEYS: JSON.stringify(release.keys),
  }
  const built = { ...common, define, absWorkingDir: root, metafile: true } as const
  const main = await build({ ...built, entryPoints: ['packaging/main.ts'], outfile: app })
  const packages = new Set(packagesOf(main.metafile))
  toAscii(app)
  const workers: Record<string, string> = {}
  for (const [name, part] of WORKERS) {
    const outfile = join(directory, `${name}-worker.cjs`)
    const entryPoints = [`src/runtime/${part}/${name}-worker.ts`]
    const worker = await build({ ...built, entryPoints, outfile, banner: workerBanner })
    for (const folder of packagesOf(worker.metafile)) packages.add(folder)
    toAscii(outfile)
    workers[`${name}-worker.cjs`] = outfile
  }
  const loader = join(directory, 'loader.cjs')
  const sum = createHash('sha256').update(readFileSync(app)).digest('hex').slice(0, 16)
  await build({
    entryPoints: [join(root, 'packaging/loader.cjs')],
    outfile: loader,
    platform: 'node',
    format: 'cjs',
    minifyWhitespace: true,
    define: {
      BUILD: JSON.stringify(sum),
      VERSION_LINE: JSON.stringify(versionLine.replaceAll(MK8S_VERSION, release.version)),
    },
  })
  return { app, loader, workers, packages: [...packages].sort() }
}
