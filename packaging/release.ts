/** What makes a directory of executables a release: `release.json`, `SHA256SUMS`, and the signature over that list. */
import { createPrivateKey, sign } from 'node:crypto'
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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

function writeSignature(file: string, keyFile: string | undefined): void {
  const signature = `${file}.sig`
  rmSync(signature, { force: true })
  if (keyFile === undefined || keyFile === '') return
  const made = sign(null, readFileSync(file), createPrivateKey(readFileSync(keyFile, 'utf8')))
  writeFileSync(signature, `${made.toString('base64')}\n`)
}
