/**
 * The second route to an executable for linux-x64: the same bundle through @yao-pkg/pkg. It takes Node from a cache
 * of its own, which is filled here with our base, so that it brings nothing. Assets are not to be had in what it
 * makes, so they travel as text in front of the bundle.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { repair } from './executable.ts'
import { targets } from './targets.ts'

export interface PkgParts {
  readonly root: string
  readonly work: string
  /** The Node binary of linux-x64. */
  readonly base: string
  /** Relative to `root`, by name, `app.cjs` among them. */
  readonly assets: Readonly<Record<string, string>>
  readonly output: string
}

export function makeWithPkg({ root, work, base, assets, output }: PkgParts): void {
  const target = targets.find(({ name }) => name === 'linux-x64')
  if (target === undefined) throw new Error('there is no platform linux-x64')
  const home = join(work, 'pkg-home')
  const version = process.version
  fillCache(join(home, '.pkg-cache/sea'), version, repair(target, readFileSync(base)))
  const main = join(work, 'mk8s.cjs')
  writeFileSync(main, withAssets(root, assets))
  const directory = join(work, 'pkg')
  mkdirSync(directory, { recursive: true })
  const pkg = join(root, 'node_modules/.bin/pkg')
  const node = `node${version.slice(1)}-linux-x64`
  execFileSync(process.execPath, [pkg, main, '--sea', '-t', node, '--out-path', directory], {
    cwd: dirname(main),
    env: { ...process.env, HOME: home },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const made = join(directory, 'mk8s')
  chmodSync(made, 0o755)
  renameSync(made, output)
}

/** As pkg leaves it after it brought Node: the archive is never looked into when these are there. */
function fillCache(cache: string, version: string, base: Buffer): void {
  const name = `node-${version}-linux-x64`
  mkdirSync(join(cache, name, 'bin'), { recursive: true })
  for (const file of [`${name}.tar.gz`, `${name}.tar.gz.ok`, `${name}/bin/node.ok`])
    writeFileSync(join(cache, file), '')
  const node = join(cache, name, 'bin/node')
  writeFileSync(`${node}.partial`, base, { mode: 0o755 })
  copyFileSync(`${node}.partial`, node)
}

function withAssets(root: string, assets: Readonly<Record<string, string>>): string {
  const { 'app.cjs': app = '', ...others } = assets
  const texts = Object.fromEntries(
    Object.entries(others).map(([name, file]) => [name, readFileSync(join(root, file), 'utf8')]),
  )
  return `globalThis.mk8sAssets=${JSON.stringify(texts)};\n${readFileSync(join(root, app), 'utf8')}`
}
