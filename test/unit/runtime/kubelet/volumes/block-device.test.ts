/** What is on a block device decides whether it is formatted: only one with nothing on it ever is. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { contentOf } from '../../../../../src/runtime/kubelet/volumes/block-device.ts'

for (const [what, exitCode, stdout, content] of [
  ['an empty device', 2, '', 'nothing'],
  ['a file system', 0, 'DEVNAME=/dev/loop0\nTYPE=ext4\n', { type: 'ext4' }],
  ['a table of partitions', 0, 'DEVNAME=/dev/loop0\nPTTYPE=dos\n', 'unknown'],
  ['a table of partitions beside a file system', 0, 'TYPE=ext4\nPTTYPE=gpt\n', 'unknown'],
  ['something without a type', 0, 'DEVNAME=/dev/loop0\n', 'unknown'],
] as const) {
  test(`${what} is ${JSON.stringify(content)}`, () => {
    assert.deepEqual(contentOf({ exitCode, stdout }), content)
  })
}
