/** Which images a CRI runtime's node may never collect. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseStoredImage } from '../../../../../src/runtime/kubelet/runtime/cri/parse-cri.ts'

const image = (repoTags: string[], pinned: boolean) =>
  parseStoredImage({ id: 'i', repoTags, repoDigests: [], size: 1, pinned } as unknown as Parameters<
    typeof parseStoredImage
  >[0]).isPinned

test('the image of sandboxes is pinned, and what the runtime pins', () => {
  assert.equal(image(['localhost/mk8s/pause:1'], false), true)
  assert.equal(image(['docker.io/library/busybox:1'], true), true)
  assert.equal(image(['docker.io/library/busybox:1'], false), false)
})
