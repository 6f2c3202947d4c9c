/** Places with several releases, as packaging makes them: in a directory, and behind an https URL. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test, { after } from 'node:test'
import { renderRelease, writeChannels, writeSums } from '../../../../packaging/release.ts'
import { openRelease } from '../../../../src/runtime/upgrade/release-source.ts'
import { certificatesFor } from '../../../support/webhook-server.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-releases-'))
after(() => rmSync(directory, { recursive: true }))
const keyFile = join(directory, 'release.pem')
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
const keys = [publicKey.export({ type: 'spki', format: 'pem' }).toString()]
const place = join(directory, 'place')

function release(version: string, channels: readonly string[]): void {
  const output = join(place, version)
  mkdirSync(output, { recursive: true })
  writeFileSync(join(output, 'mk8s-linux-x64'), `the executable ${version}`)
  writeFileSync(join(output, 'release.json'), renderRelease(version, ''))
  const sum = (name: string) =>
    `${createHash('sha256')
      .update(readFileSync(join(output, name)))
      .digest('hex')}  ${name}\n`
  writeSums(output, ['mk8s-linux-x64', 'release.json'].map(sum).join(''), keyFile)
  writeChannels({ directory: output, version, channels, keyFile })
}
release('0.1.0', ['stable', 'beta'])
release('0.2.0', ['beta'])

test('a channel is a version, another version can be named, and what is not there is said', async () => {
  const versionOf = async (wanted: { channel?: string; version?: string }) =>
    (await openRelease({ from: place, keys, ...wanted })).version
  assert.equal(await versionOf({}), '0.1.0')
  assert.equal(await versionOf({ channel: 'beta' }), '0.2.0')
  assert.equal(await versionOf({ channel: 'beta', version: '0.1.0' }), '0.1.0')
  await assert.rejects(versionOf({ channel: 'edge' }), /there is no channel edge/)
  await assert.rejects(versionOf({ version: '0.3.0' }), /is no release/)
})

test('channels that were changed, or have no signature, are refused', async () => {
  const file = join(place, 'channels.json')
  const good = readFileSync(file, 'utf8')
  writeFileSync(file, good.replace('"stable": "0.1.0"', '"stable": "0.2.0"'))
  await assert.rejects(openRelease({ from: place, keys }), { code: 'upgrade/unsigned' })
  writeFileSync(file, good)
  const signature = readFileSync(`${file}.sig`)
  rmSync(`${file}.sig`)
  await assert.rejects(openRelease({ from: place, keys }), { code: 'upgrade/unsigned' })
  writeFileSync(`${file}.sig`, signature)
  assert.equal((await openRelease({ from: place, keys })).version, '0.1.0')
})

test('a directory that is not named after its version is refused when it is made', () => {
  const parts = { directory: join(place, '0.2.0'), version: '0.2.1', channels: ['stable'], keyFile }
  assert.throws(() => writeChannels(parts), /named after its version/)
})

test('a release comes over https from a server whose authority the system trusts, and from no other', async () => {
  const { authority, leaf } = await certificatesFor(['localhost'])
  const server = createServer({ cert: leaf.certificate, key: leaf.key }, (request, response) => {
    try {
      response.end(readFileSync(join(place, new URL(request.url ?? '/', 'https://x').pathname)))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const from = `https://localhost:${(server.address() as AddressInfo).port}/`
  try {
    // The system's store is read once in a process.
    const script = `
      const { openRelease } = await import(process.argv[1])
      const { text } = await import('node:stream/consumers')
      const release = await openRelease({ from: process.argv[2], channel: 'beta', keys: [process.argv[3]] })
      process.stdout.write(release.version + ' ' + await text(await release.open('mk8s-linux-x64')))`
    const trusted = join(directory, 'trusted.pem')
    writeFileSync(trusted, authority.certificate)
    const source = join(import.meta.dirname, '../../../../src/runtime/upgrade/release-source.ts')
    const ask = async (env: Record<string, string>) => {
      const child = spawn(
        process.execPath,
        ['--input-type=module', '-e', script, source, from, keys[0] ?? ''],
        { env: { ...process.env, ...env } },
      )
      const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)])
      return out + error
    }
    assert.equal(await ask({ SSL_CERT_FILE: trusted }), '0.2.0 the executable 0.2.0')
    assert.match(await ask({}), /cannot be read[\s\S]*(unable to verify|UNABLE_TO_VERIFY|self[- ]signed)/i)
  } finally {
    server.close()
  }
})
