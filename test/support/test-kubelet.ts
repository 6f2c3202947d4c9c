/** A kubelet with the process runtime in a directory of a test, for the API server of the test's process. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { readAsset } from '../../src/host/assets.ts'
import { mirrorOf } from '../../src/kube/mirror-address.ts'
import { parseModel } from '../../src/kube/model.ts'
import { createPodReader } from '../../src/runtime/apiserver/pod-reader.ts'
import { createKubelet, type Kubelet, readHostFacts } from '../../src/runtime/kubelet/kubelet.ts'
import type { KubeletParts } from '../../src/runtime/kubelet/kubelet-parts.ts'
import { createProcessRuntime } from '../../src/runtime/kubelet/runtime/process/process-runtime.ts'
import type { InProcessCluster } from './in-process-cluster.ts'
import { createTestPki, type TestPki } from './kubelet-pki.ts'

export interface TestKubelet {
  readonly directory: string
  readonly port: number
  readonly pki: TestPki
  /** The one that runs now. */
  current(): Kubelet
  /** A new one in the same directory, as after the daemon was restarted. */
  start(): Promise<void>
  /** Ends pods, kubelet and directory. */
  remove(): Promise<void>
}

const PORT = 30_000 + (process.pid % 10_000)

export async function createTestKubelet(
  cluster: InProcessCluster,
  nodeName: string,
  over: (directory: string) => Partial<KubeletParts> = () => ({}),
): Promise<TestKubelet> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-kubelet-'))
  const pki = await createTestPki()
  let kubelet: Kubelet | undefined
  const current = () => {
    if (kubelet === undefined) throw new Error('the kubelet was not started')
    return kubelet
  }
  return {
    ...{ directory, pki, current, port: PORT },
    async start() {
      kubelet = createKubelet(partsIn(cluster, nodeName, directory, pki, over(directory)))
      const { signal } = new AbortController()
      await kubelet.prepare(signal)
      await kubelet.start(signal)
    },
    async remove() {
      await current().stopWorkloads()
      await current().stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function partsIn(
  cluster: InProcessCluster,
  nodeName: string,
  directory: string,
  pki: TestPki,
  over: Partial<KubeletParts>,
): KubeletParts {
  const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'error'
  const log = createLog({ level, now: Date.now, write: line => void process.stderr.write(line) })
  const shared = { clock: systemClock, random: systemRandom, log }
  const groups = ['system:nodes', 'system:authenticated']
  const [pods, logs, volumes, plugins, pluginRegistry, manifests] = [
    ...['pods', 'logs', 'volumes', 'plugins', 'plugins_registry', 'manifests'].map(each =>
      join(directory, each),
    ),
  ] as [string, string, string, string, string, string]
  return {
    ...shared,
    transport: cluster.transportFor({ username: `system:node:${nodeName}`, groups }),
    runtime: createProcessRuntime({ ...shared, directory: join(directory, 'containers') }),
    nodeName,
    nodeAddress: '127.0.0.1',
    directories: { pods, logs, volumes, plugins, pluginRegistry, manifests },
    readPod: createPodReader(() => parseModel(readAsset('model.json'))),
    ports: { kubelet: PORT },
    certificates: pki.server,
    settings: {
      clusterDns: '10.152.183.10',
      clusterDomain: 'cluster.local',
      serviceCidr: '10.152.183.0/24',
      serviceAddress: mirrorOf,
    },
    host: readHostFacts(directory),
    version: 'v1.36.0+test',
    ...over,
  }
}
