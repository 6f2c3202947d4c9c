/**
 * Loads native code: from the npm package in development, out of the executable when packaged. A library is only
 * loaded from a file, so it is kept in the user's cache, and believed only when it is this user's own and whole.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { isBundled } from './assets.ts'
import { renameSync } from './rename.ts'
import { userCacheDirectory } from './user-directory.ts'

const OTHERS_WRITE = 0o022

/** @throws when the executable has none, or the cache cannot be used. */
export function loadKeyring(): unknown {
  if (!isBundled) return createRequire(import.meta.url)('@napi-rs/keyring')
  const code = brotliDecompressSync(process.getBuiltinModule('node:sea').getRawAsset('keyring.node.br'))
  const { platform, env } = process
  const cache = join(userCacheDirectory({ platform, env, home: homedir() }), 'native')
  const loaded = { exports: {} as unknown }
  process.dlopen(loaded, keptAt(cache, 'keyring.node', code))
  return loaded.exports
}

/** The path of a file with exactly this code that nobody else can write. */
export function keptAt(directory: string, name: string, code: Buffer): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  if (!isOurs(directory)) throw new Error(`${directory} belongs to somebody else`)
  const sum = sumOf(code)
  const file = join(directory, `${sum.slice(0, 16)}-${name}`)
  if (isKept(file, sum)) return file
  const partial = `${file}.${process.pid}.tmp`
  writeFileSync(partial, code, { mode: 0o500, flag: 'wx' })
  renameSync(partial, file)
  return file
}

const sumOf = (code: Buffer): string => createHash('sha256').update(code).digest('hex')

function isKept(file: string, sum: string): boolean {
  try {
    return isOurs(file) && sumOf(readFileSync(file)) === sum
  } catch {
    return false
  }
}

function isOurs(path: string): boolean {
  const { uid, mode } = lstatSync(path)
  const user = process.geteuid?.()
  return user === undefined || (uid === user && (mode & OTHERS_WRITE) === 0)
}
