import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  foreignMounts,
  planSubmounts,
  renderMountScript,
} from '../../../../../../src/runtime/kubelet/runtime/process/launch-script.ts'

const mountinfo = [
  '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
  '23 22 0:21 / /run rw - tmpfs tmpfs rw',
  '24 23 0:4 net:[4026532200] /run/netns/cni-1 rw shared:9 - nsfs nsfs rw',
  '25 22 254:0 /other/pods /other/pods rw shared:10 - ext4 /dev/vda rw',
  '26 22 0:40 / /other/containerd/state/x/rootfs rw - overlay overlay rw',
  '27 26 0:41 / /other/containerd/state/x/rootfs/dev\\040shm rw - tmpfs tmpfs rw',
  '28 22 0:50 / /srv/data rw - ext4 /dev/vdb rw',
].join('\n')

test('mounts of other nodes and kept network namespaces do not go into a container', () => {
  const foreign = foreignMounts(mountinfo, path => path === '/other')
  assert.deepEqual(foreign, [
    '/other/containerd/state/x/rootfs/dev shm',
    '/other/containerd/state/x/rootfs',
    '/other/pods',
    '/run/netns/cni-1',
  ])
  const parts = { mountinfo, directory: '/own/containers/c', missing: [], foreign }
  const submounts = planSubmounts(parts)
  assert.deepEqual(
    submounts.map(({ path }) => path),
    ['/run', '/srv/data'],
  )
  const lines = renderMountScript({ directory: '/own/containers/c', mounts: [], submounts }, {}).split('\n')
  const leaves = lines.findIndex(line => line.includes("umount -l <'/own/containers/c/foreign-mounts'"))
  assert.ok(leaves > 0 && leaves < lines.findIndex(line => line.startsWith('mount --rbind')))
})
