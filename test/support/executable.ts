/** The executable under test, made from the sources in `dist/` once: by whichever test file needs it first. */
import { globSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './kubectl.ts'

const root = join(import.meta.dirname, '../..')
const SOURCES = ['src/**/*', 'addons/**/*', 'packaging/**/*', 'build/model/*', 'build/dashboard/*']

/** Why it cannot be made here; false when it can. */
export const whyNoExecutable =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'the executables are made on linux-x64'

/** Its path. A lock lets one process make it while others wait. @throws Error when it cannot be made. */
export async function madeExecutable(target: 'linux-x64' | 'linux-arm64' | 'win-x64'): Promise<string> {
  const made = await run('flock', [join(root, 'build'), process.execPath, import.meta.filename, target], {
    timeoutMs: 300_000,
  })
  if (made.code !== 0) throw new Error(`the executable cannot be made: ${made.stderr}${made.stdout}`)
  return join(root, 'dist', fileOf(target))
}

const fileOf = (target: string): string => `mk8s-${target}${target.startsWith('win') ? '.exe' : ''}`

function isFresh(file: string): boolean {
  const made = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return SOURCES.flatMap(pattern => globSync(pattern, { cwd: root })).every(
    path => statSync(join(root, path)).mtimeMs <= made,
  )
}

if (process.argv[1] === import.meta.filename) {
  const target = process.argv[2] ?? ''
  if (!isFresh(join(root, 'dist', fileOf(target)))) {
    const { code, stderr } = await run(process.execPath, ['packaging/package.ts', target])
    process.stderr.write(stderr)
    process.exitCode = code
  }
}
