/** Certificates for a kubelet under test: those that a real node has. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { KubeletCertificates } from '../../src/runtime/kubelet/kubelet-parts.ts'
import { ensurePki, loadPki } from '../../src/runtime/pki/pki.ts'

export interface TestPki {
  readonly server: KubeletCertificates
  readonly client: { readonly cert: string; readonly key: string }
}

export async function createTestPki(): Promise<TestPki> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-pki-'))
  try {
    const facts = {
      nodeName: 'node-a',
      addresses: ['127.0.0.1'],
      serviceIp: '10.152.183.1',
      extraSans: [],
      clusterDomain: 'cluster.local',
      clusterId: 'test',
      memberId: '1',
    }
    await ensurePki({ ...facts, directory, clock: systemClock, random: systemRandom })
    const pki = await loadPki(directory)
    return {
      server: {
        certificate: pki.leaves.kubelet.certificate,
        key: pki.leaves.kubelet.key,
        clientAuthority: pki.authorities['cluster-ca'].certificate,
        client: pki.leaves['apiserver-kubelet-client'],
      },
      client: {
        cert: pki.leaves['apiserver-kubelet-client'].certificate,
        key: pki.leaves['apiserver-kubelet-client'].key,
      },
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
