/** Secrets at rest, on the memory store: what is stored, what is read, what several servers may do at once. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { must } from '../../../../src/base/assert.ts'
import { systemClock } from '../../../../src/base/clock.ts'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { createEncryptedStore } from '../../../../src/runtime/secrets-encryption/encrypted-store.ts'
import { createSecretsEncryption } from '../../../../src/runtime/secrets-encryption/secrets-encryption.ts'
import { createMemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import type { StoreEvent } from '../../../../src/runtime/store/store.ts'
import { plainValue } from '../../../support/backup-store.ts'

const FILE_KEY = Buffer.alloc(32, 7).toString('base64')
const SECRET = '/registry/core/secrets/default/a'
const CONFIG_MAP = '/registry/core/configmaps/default/a'
const value = plainValue({ data: 'squeamish' })

function setUp(t: TestContext, fileKey: string | null = FILE_KEY) {
  const raw = createMemoryStore({ clock: systemClock })
  t.after(() => raw.close())
  const parts = { store: raw, fileKey: () => fileKey, clock: systemClock, random: systemRandom }
  return { raw, parts, plain: createEncryptedStore(raw, parts), encryption: createSecretsEncryption(parts) }
}

const put = (key: string, what = value, compares: { key: string; equals: number }[] = []) => ({
  compares: compares.map(one => ({ ...one, target: 'mod-revision' as const })),
  operations: [{ type: 'put' as const, key, value: what }],
})
const range = { start: '/registry/core/secrets/', end: '/registry/core/secrets0' }

test('nothing is encrypted until it is asked for; then Secrets are, and nothing else', async t => {
  const { raw, plain, encryption } = setUp(t)
  await plain.transact(put(SECRET))
  await plain.transact(put(CONFIG_MAP))
  assert.deepEqual(raw.get(SECRET)?.value, value)
  assert.deepEqual(encryption.status(), { enabled: false, keys: [], current: 1, stale: 0 })
  const { enabled, keys, current, stale } = await encryption.enable()
  assert.deepEqual([enabled, keys.length, current, stale], [true, 1, 1, 0])
  assert.equal(raw.get(SECRET)?.value[0], 2)
  assert.equal(raw.get(SECRET)?.value.includes('squeamish'), false)
  assert.deepEqual(raw.get(CONFIG_MAP)?.value, value)
  assert.deepEqual(plain.get(SECRET)?.value, value)
  assert.deepEqual(plain.range(range).entries[0]?.value, value)
})

test('an entry is decrypted once, and a write answers with what was written', async t => {
  const { plain, encryption } = setUp(t)
  await encryption.enable()
  const written = await plain.transact(put(SECRET))
  assert.ok(written.succeeded)
  assert.equal(written.put[0], plain.get(SECRET))
  assert.equal(plain.get(SECRET), plain.range(range).entries[0])
  const lost = await plain.transact(put(SECRET, value, [{ key: SECRET, equals: 0 }]))
  assert.ok(!lost.succeeded)
  assert.deepEqual(
    lost.found.map(kv => kv?.value),
    [value],
  )
})

test('after a rotation every Secret is under the new key, and watchers of what was before still read it', async t => {
  const { raw, plain, encryption } = setUp(t)
  await encryption.enable()
  const after = raw.revision
  await plain.transact(put(SECRET))
  const under = () => must(raw.get(SECRET), 'a Secret').value.toString('hex', 1, 9)
  const first = under()
  const { keys, stale } = await encryption.rotate()
  assert.deepEqual([keys.length, stale, under() === first, keys[0]?.id === under()], [2, 0, false, true])
  const seen: StoreEvent[] = []
  const watch = plain.watch(
    { ...range, after },
    { onEvents: events => seen.push(...events), onClosed: error => assert.fail(error) },
  )
  while (seen.length < 2) await new Promise(setImmediate)
  watch.close()
  for (const event of seen) assert.deepEqual(event.type === 'put' && event.kv.value, value)
  assert.deepEqual(seen[1]?.previous?.value, value)
})

test('a write that meets a change of keys is encrypted anew, never stored with what was given up', async t => {
  const { raw, parts, encryption } = setUp(t)
  // Another server, which has not seen yet that Secrets are to be encrypted.
  let isBehind = true
  const behind = new Proxy(raw, {
    get: (store, name) => {
      const found = Reflect.get(store, name, store)
      if (name === 'get')
        return (key: string) => (isBehind && key.startsWith('/mk8s/') ? null : store.get(key))
      if (name === 'transact')
        return async (...args: Parameters<typeof raw.transact>) => {
          const result = await store.transact(...args)
          isBehind = false
          return result
        }
      return typeof found === 'function' ? found.bind(store) : found
    },
  })
  await encryption.enable()
  const result = await createEncryptedStore(behind, parts).transact(put(SECRET))
  assert.equal(result.succeeded, true)
  assert.equal(raw.get(SECRET)?.value[0], 2)
})

test('a value that was moved to another Secret, or changed, is not read', async t => {
  const { raw, plain, encryption } = setUp(t)
  await encryption.enable()
  await plain.transact(put(SECRET))
  const stored = must(raw.get(SECRET), 'a Secret').value
  await raw.transact(put('/registry/core/secrets/default/b', stored))
  assert.throws(() => plain.get('/registry/core/secrets/default/b'), Mk8sError)
  const changed = Buffer.from(stored)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  await raw.transact(put(SECRET, changed))
  assert.throws(() => plain.get(SECRET), /damaged/)
})

test('a server with another key, or none, says so', async t => {
  const { raw, plain, encryption } = setUp(t)
  await encryption.enable()
  await plain.transact(put(SECRET))
  const other = Buffer.alloc(32, 8).toString('base64')
  for (const fileKey of [other, null]) {
    const store = createEncryptedStore(raw, { fileKey: () => fileKey, random: systemRandom })
    assert.throws(() => store.get(SECRET), { code: 'pki/invalid' })
    await assert.rejects(store.transact(put(SECRET)), Mk8sError)
  }
  const none = setUp(t, null)
  await assert.rejects(none.encryption.enable(), /no key to encrypt/)
  await assert.rejects(none.encryption.rotate(), /not encrypted/)
})

test('turned off, all is plain again', async t => {
  const { raw, plain, encryption } = setUp(t)
  await encryption.enable()
  for (let at = 0; at < 20; at += 1) await plain.transact(put(`${SECRET}${at}`))
  const { enabled, current, stale } = await encryption.disable()
  assert.deepEqual([enabled, current, stale], [false, 20, 0])
  assert.ok(raw.range(range).entries.every(kv => kv.value.equals(value)))
})
