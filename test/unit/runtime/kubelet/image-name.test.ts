import assert from 'node:assert/strict'
import { test } from 'node:test'
import { longImageName } from '../../../../src/runtime/kubelet/image-name.ts'
import { busyboxArchive } from '../../../../src/runtime/node-images.ts'

test('the long form of a name has a registry and a tag', () => {
  assert.equal(longImageName('bb'), 'docker.io/library/bb:latest')
  assert.equal(longImageName('me/bb:1'), 'docker.io/me/bb:1')
  assert.equal(longImageName('localhost/bb'), 'localhost/bb:latest')
  assert.equal(longImageName('localhost:5000/bb'), 'localhost:5000/bb:latest')
  assert.equal(longImageName('docker.io/bb:2'), 'docker.io/library/bb:2')
  const digest = `x.io/a@sha256:${'0'.repeat(64)}`
  assert.equal(longImageName(digest), digest)
})

test('an image is not made under a name that no pod could use', async () => {
  for (const name of ['localhost/a@b:$(id)', 'UPPER:1', '', 'a b']) {
    await assert.rejects(busyboxArchive(name), { code: 'usage' })
  }
})
