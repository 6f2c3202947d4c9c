/**
 * Kubelets with real containers, each in a network namespace of its own, all plugged into one switch by `uplink`; they
 * share one API server in this process. Nothing of it touches the host's network.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { busyboxImage } from '../../src/runtime/images/busybox-image.ts'
import { pauseProgram } from '../../src/runtime/images/pause-image.ts'
import type { NetworkSettings } from '../../src/runtime/kubelet/networks/plan-networks.ts'
import { endOci } from '../../src/runtime/kubelet/runtime/oci/end-oci.ts'
import { ImageStore } from '../../src/runtime/kubelet/runtime/oci/images/image-store.ts'
import { importImages } from '../../src/runtime/kubelet/runtime/oci/images/import-images.ts'
import { ociPaths } from '../../src/runtime/kubelet/runtime/oci/oci-paths.ts'
import { OciRuntime } from '../../src/runtime/kubelet/runtime/oci/oci-runtime.ts'
import { architecture } from './containerd.ts'
import type { InProcessCluster } from './in-process-cluster.ts'
import { createTestKubelet } from './test-kubelet.ts'

export interface PodNode {
  readonly name: string
  readonly directory: string
  readonly configs: string
  readonly runtime: () => OciRuntime
  /** What a program says inside the pod's only container; throws when it fails. */
  run(podUid: string, command: readonly string[]): Promise<string>
  /** In the node's own namespace. */
  ip(...args: string[]): string
  /** Ends the kubelet and starts another; pods go on. */
  restart(between?: () => void): Promise<void>
}

export interface PodNodes {
  readonly nodes: readonly PodNode[]
  remove(): Promise<void>
}

export interface PodNodesOptions {
  readonly count: number
  readonly image: string
  readonly settings: () => NetworkSettings | null
}

const EXEC_MS = 20_000
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' })

export async function startPodNodes(cluster: InProcessCluster, options: PodNodesOptions): Promise<PodNodes> {
  const hub = `mk8s-h${process.pid}`
  ip('netns', 'add', hub)
  ip('-n', hub, 'link', 'add', 'switch', 'type', 'bridge')
  ip('-n', hub, 'link', 'set', 'switch', 'up')
  const started: (PodNode & { remove(): Promise<void> })[] = []
  for (let at = 1; at <= options.count; at++) started.push(await startNode(cluster, { ...options, hub, at }))
  return {
    nodes: started,
    async remove() {
      for (const node of started) await node.remove()
      ip('netns', 'delete', hub)
    },
  }
}

async function startNode(
  cluster: InProcessCluster,
  { hub, at, image, settings }: PodNodesOptions & { readonly hub: string; readonly at: number },
) {
  const name = `n${at}`
  const space = `mk8s-m${process.pid}-${at}`
  addSpace(space, hub, at)
  const enter = ['nsenter', `--net=/run/netns/${space}`]
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-networks-'))
  const nodeId = basename(directory)
  await importImages(new ImageStore(ociPaths(directory).images), await busyboxImage(image, architecture()))
  let runtime: OciRuntime
  const kubelet = await createTestKubelet(cluster, name, () => {
    runtime = openRuntime({ directory, nodeId, enter, at })
    const configs = ociPaths(directory).cniConfig
    const networks = { settings: async () => settings(), configs, enter }
    return { runtime, networks, ports: { kubelet: 20_000 + ((process.pid * 4 + at) % 10_000) } }
  })
  await kubelet.start()
  return {
    ...{ name, directory: kubelet.directory, configs: ociPaths(directory).cniConfig },
    runtime: () => runtime,
    async run(podUid: string, command: readonly string[]) {
      const running = (await runtime.listContainers(podUid)).find(({ state }) => state === 'running')
      const ran = await runtime.exec(running?.id ?? '', command, { timeoutMs: EXEC_MS })
      if (ran.exitCode !== 0) throw new Error(`${command.join(' ')}: ${ran.stdout}${ran.stderr}`)
      return ran.stdout
    },
    ip: (...args: string[]) => ip('-n', space, ...args).toString(),
    async restart(between = () => {}) {
      await kubelet.current().stop()
      between()
      await kubelet.start()
    },
    async remove() {
      await kubelet.remove()
      await endOci({ dataDir: directory, nodeId, enter, forgets: true, clock: systemClock })
      ip('netns', 'delete', space)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function addSpace(space: string, hub: string, at: number): void {
  ip('netns', 'add', space)
  ip('-n', space, 'link', 'set', 'lo', 'up')
  ip('-n', space, 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', `p${at}`, 'netns', hub)
  ip('-n', hub, 'link', 'set', `p${at}`, 'master', 'switch', 'up')
  ip('-n', space, 'link', 'set', 'uplink', 'up')
}

function openRuntime(options: {
  readonly directory: string
  readonly nodeId: string
  readonly enter: readonly string[]
  readonly at: number
}): OciRuntime {
  const { directory, nodeId, enter, at } = options
  const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'error'
  return new OciRuntime({
    ...{ dataDir: directory, nodeId, enter, sharedDirectories: [] },
    podRange: { cidrs: [`10.1.${at}.0/24`], onChange: () => {} },
    pause: pauseProgram(architecture()),
    ...{ clock: systemClock, random: systemRandom },
    log: createLog({ level, now: Date.now, write: line => void process.stderr.write(line) }),
  })
}
