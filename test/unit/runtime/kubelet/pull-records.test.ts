/** Whose credentials the images of a node were pulled with. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { PullRecords } from '../../../../src/runtime/kubelet/pull-records.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-records-'))
after(() => rmSync(directory, { recursive: true, force: true }))
const image = 'registry.example/team/web:1'
const by = (username: string) => ({
  image,
  credentials: [{ server: 'registry.example', username, password: 'x' }],
})
const nobody = { image, credentials: [] }

test('what nobody pulled is for all; what came for credentials is for those, also after a restart', () => {
  const records = new PullRecords(directory)
  assert.equal(records.mustPull('id', nobody), false)
  records.began(by('ann'))
  records.succeeded('id', by('ann'))
  const later = new PullRecords(directory)
  assert.equal(later.mustPull('id', by('ann')), false)
  assert.equal(later.mustPull('id', by('bob')), true)
  assert.equal(later.mustPull('id', nobody), true)
  assert.equal(later.mustPull('id', { ...by('ann'), image: 'registry.example/other/web:1' }), true)
  later.succeeded('id', nobody)
  assert.equal(later.mustPull('id', by('bob')), false)
})

test('a pull whose end is not known is not taken for an image that was always there', () => {
  const records = new PullRecords(directory)
  records.began(by('ann'))
  assert.equal(new PullRecords(directory).mustPull('id-2', nobody), true)
  records.failed(by('ann'))
  assert.equal(records.mustPull('id-2', nobody), false)
})

test('a pod that fails to pull an image does not take away the mark of another one that still pulls it', () => {
  const records = new PullRecords(directory)
  records.began(by('ann'))
  records.began(nobody)
  records.failed(nobody)
  assert.equal(new PullRecords(directory).mustPull('id-3', nobody), true)
  records.failed(by('ann'))
  assert.equal(new PullRecords(directory).mustPull('id-3', nobody), false)
})

test('a pod with several logins has what one of them brought', () => {
  const records = new PullRecords(directory)
  records.began(by('ann'))
  records.succeeded('id-4', by('ann'))
  const both = { image, credentials: [...by('bob').credentials, ...by('ann').credentials] }
  assert.equal(records.mustPull('id-4', both), false)
})

test('the policy says whether images that are there are verified', () => {
  const policies = (['NeverVerify', 'NeverVerifyPreloadedImages', 'AlwaysVerify'] as const).map(policy => {
    const records = new PullRecords(directory, policy)
    return [records.mustPull('nobody-pulled-it', nobody), records.mustPull('id-4', by('bob'))]
  })
  assert.deepEqual(policies, [
    [false, false],
    [false, true],
    [true, true],
  ])
})
