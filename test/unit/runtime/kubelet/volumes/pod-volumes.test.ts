import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Pod } from '../../../../../src/kube/types.ts'
import { PodVolumes } from '../../../../../src/runtime/kubelet/volumes/pod-volumes.ts'
import type { VolumeParts } from '../../../../../src/runtime/kubelet/volumes/render-volume.ts'

const container = { name: 'c', volumeMounts: [{ name: 'e', mountPath: '/e', subPath: 'd/e' }] }
const group = process.getgid?.() ?? 0
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u' },
  spec: {
    containers: [container],
    securityContext: { fsGroup: group },
    volumes: [{ name: 'e', emptyDir: {} }],
  },
}
const volume = { name: 'e', emptyDir: {} }
const parts = { pod } as unknown as VolumeParts

async function withVolumes(body: (volumes: PodVolumes, directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-volumes-'))
  try {
    const volumes = new PodVolumes(join(directory, 'pod'))
    await volumes.setUp(parts)
    await body(volumes, directory).finally(() => volumes.remove())
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

test('what is made in an emptyDir belongs to the group of the pod', () =>
  withVolumes(async volumes => {
    const { mode, gid } = await stat(volumes.pathOf(volume))
    assert.equal(mode & 0o7777, 0o2777)
    assert.equal(gid, group)
  }))

test('a sub-path is made in its volume, and does not follow a link out of it', () =>
  withVolumes(async (volumes, directory) => {
    const [mount] = await volumes.mountsOf(pod, container, {})
    await writeFile(join(mount?.hostPath ?? '', 'f'), 'there')
    assert.deepEqual(await readdir(join(volumes.pathOf(volume), 'd/e')), ['f'])
    await rm(join(volumes.pathOf(volume), 'd'), { recursive: true })
    const outside = await mkdtemp(join(directory, 'outside-'))
    await symlink(outside, join(volumes.pathOf(volume), 'd'))
    await assert.rejects(volumes.mountsOf(pod, container, {}), /subPath "d\/e" would leave volume "e"/)
    assert.deepEqual(await readdir(outside), [])
  }))
