import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { systemRandom } from '../../../src/base/random.ts'
import {
  type KeptParts,
  keepCredential,
  readCredential,
  takeIdentity,
} from '../../../src/cli/kept-credential.ts'
import type { Keychain } from '../../../src/host/keychain.ts'
import { parseYaml } from '../../../src/kube/yaml.ts'
import { renderKubeconfig } from '../../../src/runtime/pki/kubeconfig.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-kept-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const refuse = async (): Promise<never> => {
  throw new Error('there is no service')
}
const none: Keychain = {
  getPassword: refuse,
  setPassword: refuse,
  deletePassword: refuse,
  findCredentials: refuse,
}
const identity = { certificate: 'a certificate', key: 'a private key' }
const partsIn = (name: string, passphrase?: string): KeptParts => ({
  directory: join(directory, name),
  keychain: none,
  random: systemRandom,
  passphrase,
  ask: async () => undefined,
})

test('without a keychain the key is in a file of this user alone, encrypted and readable again', async () => {
  const parts = partsIn('machine')
  const kept = await keepCredential('admin', identity, parts)
  assert.ok(kept.place === 'machine-key' && kept.why === 'there is no service')
  assert.equal(statSync(kept.path).mode & 0o777, 0o600)
  assert.doesNotMatch(readFileSync(kept.path, 'utf8'), /private|YSBwcml2YXRl/)
  assert.deepEqual(await readCredential('admin', parts), identity)
})

test('a credential under a passphrase opens with that passphrase only', async () => {
  await keepCredential('admin', identity, partsIn('words', 'right'))
  assert.deepEqual(readdirSync(join(directory, 'words')), ['credentials'])
  assert.deepEqual(await readCredential('admin', partsIn('words', 'right')), identity)
  await assert.rejects(readCredential('admin', partsIn('words', 'wrong')), /cannot be opened/)
  await assert.rejects(readCredential('admin', partsIn('words')), /needs a passphrase/)
})

test('a changed file, and one of another name, are refused', async () => {
  const parts = partsIn('changed')
  const kept = await keepCredential('admin', identity, parts)
  assert.ok(kept.place !== 'keychain')
  const text = readFileSync(kept.path, 'utf8')
  writeFileSync(join(directory, 'changed/credentials/other.json'), text)
  await assert.rejects(readCredential('other', parts), /cannot be opened/)
  const sealed = JSON.parse(text) as { data: string }
  writeFileSync(kept.path, JSON.stringify({ ...sealed, data: `AA${sealed.data.slice(2)}` }))
  await assert.rejects(readCredential('admin', parts), /cannot be opened/)
  await assert.rejects(readCredential('../machine/credentials/admin', parts), /no name/)
})

test('the key that comes into a keychain leaves no file behind', async () => {
  const kept = new Map<string, string>()
  const keychain: Keychain = {
    ...none,
    getPassword: async (_service, account) => kept.get(account) ?? null,
    setPassword: async (_service, account, password) => void kept.set(account, password),
  }
  await keepCredential('admin', identity, partsIn('later'))
  assert.deepEqual(await keepCredential('admin', identity, { ...partsIn('later'), keychain }), {
    place: 'keychain',
  })
  assert.deepEqual(readdirSync(join(directory, 'later/credentials')), [])
  assert.deepEqual(await readCredential('admin', { ...partsIn('later'), keychain }), identity)
})

test('the kubeconfig that calls mk8s holds no key, and everything else as it was', () => {
  const text = renderKubeconfig({ server: 'https://127.0.0.1:16443', authority: 'ca', ...identity })
  const taken = takeIdentity(text, '/usr/bin/mk8s')
  assert.deepEqual(taken.identity, identity)
  assert.doesNotMatch(taken.kubeconfig, /client-key/)
  const [was, is] = [text, taken.kubeconfig].map(each => parseYaml(each) as Record<string, unknown>)
  assert.deepEqual({ ...is, users: null }, { ...was, users: null })
  assert.match(taken.kubeconfig, /command: \/usr\/bin\/mk8s/)
  assert.throws(() => takeIdentity(taken.kubeconfig, '/usr/bin/mk8s'), /does not hold one user/)
})
