/** Where repositories of add-ons are. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { assertSourceThere, wholeSource } from '../../../../src/commands/addons/read-repository.ts'

test('a path has to be there, a URL need not', () => {
  assert.throws(() => assertSourceThere(wholeSource('no/such/place')), { code: 'config/unreadable' })
  assertSourceThere(wholeSource('.'))
  for (const url of ['https://git.example.com/addons.git', 'git@git.example.com:addons.git']) {
    assert.equal(wholeSource(url), url)
    assertSourceThere(url)
  }
})
