/** Releases for a test: executables of two versions, made from these sources and signed with a key of the test's own. */
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './kubectl.ts'

export const EXECUTABLE = 'mk8s-linux-x64'

export class Releases {
  readonly directory: string
  readonly #key: KeyObject

  constructor(directory: string) {
    this.directory = directory
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    this.#key = privateKey
    mkdirSync(join(directory, 'keys'), { recursive: true })
    writeFileSync(join(directory, 'keys/test.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    writeFileSync(join(directory, 'release.pem'), pem, { mode: 0o600 })
  }

  /** Packages this version; the directory of the release. */
  async build(version: string): Promise<string> {
    const output = join(this.directory, version)
    const keys = join(this.directory, 'keys')
    const made = await run(
      process.execPath,
      ['packaging/package.ts', 'linux-x64', '--version', version, '--output', output, '--release-keys', keys],
      { env: { MK8S_RELEASE_KEY: join(this.directory, 'release.pem') } },
    )
    assert.equal(made.code, 0, made.stderr)
    return output
  }

  /** A signed release whose executable is this file. */
  make(version: string, executable: string): string {
    const output = join(this.directory, `${version}-of-a-file`)
    mkdirSync(output)
    writeFileSync(join(output, EXECUTABLE), executable, { mode: 0o755 })
    writeFileSync(join(output, 'release.json'), JSON.stringify({ version }))
    this.signAgain(output)
    return output
  }

  copy(release: string, name: string): string {
    const output = join(this.directory, name)
    cpSync(release, output, { recursive: true })
    return output
  }

  signAgain(release: string): void {
    const sums = [EXECUTABLE, 'release.json']
      .map(
        name =>
          `${createHash('sha256')
            .update(readFileSync(join(release, name)))
            .digest('hex')}  ${name}\n`,
      )
      .join('')
    writeFileSync(join(release, 'SHA256SUMS'), sums)
    writeFileSync(
      join(release, 'SHA256SUMS.sig'),
      sign(null, Buffer.from(sums), this.#key).toString('base64'),
    )
  }
}
