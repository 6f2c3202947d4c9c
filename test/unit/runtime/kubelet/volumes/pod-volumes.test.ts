import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
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

test('an emptyDir keeps the mode that its pod gave it, also for the next daemon', () =>
  withVolumes(async (volumes, directory) => {
    await chmod(volumes.pathOf(volume), 0o700)
    await volumes.setUp(parts)
    await new PodVolumes(join(directory, 'pod')).setUp(parts)
    assert.equal((await stat(volumes.pathOf(volume))).mode & 0o7777, 0o700)
  }))

test('a sub-path is made in its volume, and does not follow a link out of it', () =>
  withVolumes(async (volumes, directory) => {
    const [mount] = await volumes.mountsOf(pod, container, {})
    await writeFile(join(mount?.hostPath ?? '', 'f'), 'there')
    assert.deepEqual(await readdir(join(volumes.pathOf(volume), 'd/e')), ['f'])
    await rm(join(volumes.pathOf(volume), 'd'), { recursive: true })
    const outside = await mkdtemp(join(directory, 'outside-'))
    await symlink(outside, join(volumes.pathOf(volume), 'd'))
    const refusal = () => volumes.mountsOf(pod, container, {}).then(() => assert.fail(), String)
    const message = await refusal()
    assert.match(message, /failed to prepare subPath for volumeMount "e" of container "c"$/)
    assert.deepEqual(await readdir(outside), [])
    // What there is on the machine is not told by the difference.
    for (const target of [join(directory, 'none'), 'd', '../../../none']) {
      await rm(join(volumes.pathOf(volume), 'd'))
      await symlink(target, join(volumes.pathOf(volume), 'd'))
      assert.equal(await refusal(), message, target)
    }
  }))

test('what is made for a sub-path may be written to by whoever may write to its volume', () =>
  withVolumes(async volumes => {
    await volumes.mountsOf(pod, container, {})
    const top = await stat(volumes.pathOf(volume))
    for (const path of ['d', 'd/e']) {
      const { mode, gid } = await stat(join(volumes.pathOf(volume), path))
      assert.equal(mode & 0o7777, top.mode & 0o7777, path)
      assert.equal(gid, group)
    }
  }))

test('a sub-path whose variables are not all set leads nowhere', () =>
  withVolumes(async volumes => {
    const mount = { name: 'e', mountPath: '/e', subPathExpr: '$(SET)/$(UNSET)/$(EMPTY)' }
    const asking = volumes.mountsOf(pod, { name: 'c', volumeMounts: [mount] }, { SET: 's', EMPTY: '' })
    await assert.rejects(asking, /^VolumeError: missing value for EMPTY, UNSET$/)
    assert.deepEqual(await readdir(volumes.pathOf(volume)), [])
  }))

test('what a hostPath is not is said in the words of upstream, and what is there is not made anew', () =>
  withVolumes(async (volumes, directory) => {
    const file = join(directory, 'file')
    await writeFile(file, 'kept')
    const tries = [
      ['Directory', file, `${file} is not a directory`],
      ['DirectoryOrCreate', file, `${file} is not a directory`],
      ['File', directory, `${directory} is not a file`],
      ['FileOrCreate', directory, `${directory} is not a file`],
      ['Socket', file, `${file} is not a socket file`],
      ['CharDevice', file, `${file} is not a character device`],
      ['BlockDevice', '/dev/null', '/dev/null is not a block device'],
      ['File', join(directory, 'none'), `${join(directory, 'none')} is not a file`],
    ] as const
    for (const [type, path, why] of tries) {
      const volumeOf = { name: 'h', hostPath: { path, type } }
      const one = { ...parts, pod: { ...pod, spec: { containers: [], volumes: [volumeOf] } } }
      const message = `MountVolume.SetUp failed for volume "h" : hostPath type check failed: ${why}`
      await assert.rejects(volumes.setUp(one), { message })
    }
    assert.equal(await readFile(file, 'utf8'), 'kept')
    for (const type of ['DirectoryOrCreate', 'FileOrCreate']) {
      const path = join(directory, type)
      const spec = { containers: [], volumes: [{ name: 'h', hostPath: { path, type } }] }
      await volumes.setUp({ ...parts, pod: { ...pod, spec } })
      const { mode } = await stat(path)
      assert.equal((mode & 0o777).toString(8), type === 'FileOrCreate' ? '644' : '755')
    }
  }))

test('a key that a volume names and its source does not have is named', () =>
  withVolumes(async volumes => {
    const items = [{ key: 'none', path: 'f' }]
    const objects = { configMap: () => ({ data: {} }), secret: () => ({ data: {} }) }
    const setUp = (source: object) => {
      const spec = { containers: [], volumes: [{ name: 'v', ...source }] }
      return volumes.setUp({ ...parts, objects, pod: { ...pod, spec } } as unknown as VolumeParts)
    }
    await assert.rejects(setUp({ configMap: { name: 'm', items } }), {
      message: 'MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: none',
    })
    await assert.rejects(setUp({ secret: { secretName: 's', items } }), {
      message: 'MountVolume.SetUp failed for volume "v" : references non-existent secret key: none',
    })
    await setUp({ secret: { secretName: 's', items, optional: true } })
  }))
