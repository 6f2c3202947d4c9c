/** What is kept of a link that signs in once. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemRandom } from '../../../../../src/base/random.ts'
import { openToken, sealToken } from '../../../../../src/runtime/addons/dashboard/one-time-link.ts'

test('a token is opened by the code that it was sealed with, and by nothing else', () => {
  const code = 'a'.repeat(43)
  const sealed = sealToken(code, 'the token', systemRandom)
  assert.equal(openToken(code, sealed), 'the token')
  assert.equal(openToken('b'.repeat(43), sealed), null)
  assert.equal(openToken(code, sealed.slice(0, 20)), null)
  const changed = Buffer.from(sealed, 'base64')
  changed[30] = (changed[30] ?? 0) ^ 1
  assert.equal(openToken(code, changed.toString('base64')), null)
  assert.notEqual(sealToken(code, 'the token', systemRandom), sealed)
})
