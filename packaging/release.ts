/** What makes a directory of executables a release: `release.json`, `SHA256SUMS`, and the signature over that list. */
import { createPrivateKey, sign } from 'node:crypto'
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** PEM of the public keys in a directory. */
export const releaseKeys = (directory: string): readonly string[] =>
  globSync('*.pub', { cwd: directory })
    .sort()
    .map(name => readFileSync(join(directory, name), 'utf8'))

export const renderRelease = (version: string, date: string): string =>
  `${JSON.stringify({ version, ...(date !== '' && { date }) }, null, 2)}\n`

/** `keyFile`: an Ed25519 private key in PEM; without one the release is unsigned, and no node takes it. */
export function writeSums(directory: string, sums: string, keyFile: string | undefined): void {
  writeFileSync(join(directory, 'SHA256SUMS'), sums)
  writeSignature(join(directory, 'SHA256SUMS'), keyFile)
}

export interface ChannelParts {
  /** Of the release, named after its version: others lie beside it. */
  readonly directory: string
  readonly version: string
  readonly channels: readonly string[]
  readonly keyFile: string | undefined
}

/** Points these channels to the release in `channels.json` beside it; the others stay as they are. */
export function writeChannels({ directory, version, channels, keyFile }: ChannelParts): void {
  if (basename(directory) !== version)
    throw new Error(
      `the directory of a release in channels is named after its version: --output PLACE/${version}`,
    )
  const file = join(dirname(directory), 'channels.json')
  const before = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as { readonly channels?: Readonly<Record<string, string>> })
    : {}
  const all = { ...before.channels, ...Object.fromEntries(channels.map(name => [name, version])) }
  writeFileSync(file, `${JSON.stringify({ channels: all }, null, 2)}\n`)
  writeSignature(file, keyFile)
}

function writeSignature(file: string, keyFile: string | undefined): void {
  const signature = `${file}.sig`
  rmSync(signature, { force: true })
  if (keyFile === undefined || keyFile === '') return
  const made = sign(null, readFileSync(file), createPrivateKey(readFileSync(keyFile, 'utf8')))
  writeFileSync(signature, `${made.toString('base64')}\n`)
}
