/** Repositories and bundles: what a signature vouches for, and what the cluster keeps. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test from 'node:test'
import { builtInAddons } from '../../../../src/runtime/addons/built-in.ts'
import { bundleMap, readBundle, readSource } from '../../../../src/runtime/addons/bundle.ts'
import { checkManifests } from '../../../../src/runtime/addons/render-manifests.ts'
import { entryMap, keptEntry, readEntry } from '../../../../src/runtime/addons/repository.ts'
import {
  INDEX_FILE,
  readRepositoryFiles,
  renderIndex,
  SIGNATURE_FILE,
  signIndex,
} from '../../../../src/runtime/addons/repository-index.ts'

const keys = () => {
  const pair = generateKeyPairSync('ed25519')
  return {
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

const DEFINITION = 'name: web\nversion: "1.0.0"\ndescription: A web server\n'

function signed(
  { privateKey }: { readonly privateKey: string },
  definition = DEFINITION,
): Map<string, Buffer> {
  const files = new Map([['web/addon.yaml', Buffer.from(definition)]])
  const index = renderIndex(files)
  const signature = signIndex(index, privateKey)
  return new Map([...files, [INDEX_FILE, Buffer.from(index)], [SIGNATURE_FILE, Buffer.from(signature)]])
}

test('a repository is taken with the key that it is signed with, and with no other', () => {
  const own = keys()
  const read = (files: Map<string, Buffer>, publicKey: string, allowUnsigned = false) =>
    readRepositoryFiles(files, { publicKey, allowUnsigned }).map(({ definition }) => definition.name)
  assert.deepEqual(read(signed(own), own.publicKey), ['web'])
  assert.throws(() => read(signed(own), keys().publicKey), { code: 'refused' })
  assert.throws(() => read(signed(own), ''), { code: 'refused' })
  assert.deepEqual(read(signed(own), '', true), ['web'])
  const unsigned = signed(own)
  unsigned.delete(SIGNATURE_FILE)
  assert.throws(() => read(unsigned, own.publicKey), { code: 'refused', why: 'index.yaml.sig is missing' })
})

test('a file that was changed, added or taken away behind the signature is found', () => {
  const own = keys()
  for (const change of [
    (files: Map<string, Buffer>) => files.set('web/addon.yaml', Buffer.from(`${DEFINITION}notes: evil\n`)),
    (files: Map<string, Buffer>) => files.set('web/more.yaml', Buffer.from('')),
    (files: Map<string, Buffer>) => files.delete('web/addon.yaml'),
  ]) {
    const files = signed(own)
    change(files)
    assert.throws(() => readRepositoryFiles(files, { ...own, allowUnsigned: false }), {
      code: 'config/invalid',
      why: /web/,
    })
  }
})

test('an add-on of a repository cannot make itself a default', () => {
  const own = keys()
  const files = signed(own, `${DEFINITION}default: true\n`)
  assert.throws(() => readRepositoryFiles(files, { ...own, allowUnsigned: false }), { why: /built-in/ })
})

test('a bundle comes back as it was, under a name that follows from what is in it', () => {
  const source = readSource({ 'addon.yaml': DEFINITION, 'x.yaml': 'a: 1\n' }, 'web')
  const map = bundleMap(source)
  assert.deepEqual(readBundle(map), source)
  const other = bundleMap(readSource({ 'x.yaml': 'a: 2\n', 'addon.yaml': DEFINITION }, 'web'))
  assert.notEqual(other.metadata.name, map.metadata.name)
  const entry = entryMap('team', source)
  assert.deepEqual(keptEntry(entry), {
    ...{ name: 'web', repository: 'team', version: '1.0.0', description: 'A web server' },
  })
  assert.deepEqual(readEntry(entry)?.source, source)
})

test('the definitions and manifests of all built-in add-ons are good', () => {
  const facts = {
    clusterDomain: 'c',
    serviceCidr: '10.0.0.0/24',
    podCidr: '10.1.0.0/16',
    dnsAddress: '10.0.0.10',
  }
  for (const [directory, source] of builtInAddons()) {
    assert.equal(source.definition.name, directory)
    checkManifests({ ...source, facts })
    bundleMap(source)
  }
})
