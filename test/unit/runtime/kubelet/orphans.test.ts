import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { findOrphans } from '../../../../src/runtime/kubelet/orphans.ts'

test('of what is left of a pod, whatever it is, the pod is known once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-orphans-'))
  const directories = { pods: join(directory, 'pods'), logs: join(directory, 'logs') }
  try {
    for (const uid of ['u-alive', 'u-sandbox', 'u-volumes']) {
      await mkdir(join(directories.pods, uid), { recursive: true })
    }
    for (const name of ['ns_alive_u-alive', 'ns_logged_u-logs', 'other']) {
      await mkdir(join(directories.logs, name), { recursive: true })
    }
    await writeFile(join(directories.pods, 'a-file'), '')
    const status = (name: string) => ({
      ...{ id: name, state: 'ready' as const, createdAt: 0, addresses: [] },
      metadata: { name, namespace: 'ns', uid: `u-${name}`, attempt: 1 },
    })
    const found = await findOrphans({
      runtime: { listSandboxes: async () => [status('alive'), status('sandbox')] },
      directories,
      isKnown: uid => uid === 'u-alive',
    })
    assert.deepEqual(found, [
      { name: 'sandbox', namespace: 'ns', uid: 'u-sandbox' },
      { name: 'logged', namespace: 'ns', uid: 'u-logs' },
      { name: '', namespace: '', uid: 'u-volumes' },
    ])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
