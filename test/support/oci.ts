/** The oci runtime for a test, in a network namespace that the test makes; nothing of it touches the host's network. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { containerObstacle, findProgram, missingPrograms } from '../../src/host/container-programs.ts'
import { busyboxImage } from '../../src/runtime/images/busybox-image.ts'
import { pauseProgram } from '../../src/runtime/images/pause-image.ts'
import { endOci } from '../../src/runtime/kubelet/runtime/oci/end-oci.ts'
import { ImageStore } from '../../src/runtime/kubelet/runtime/oci/images/image-store.ts'
import { importImages } from '../../src/runtime/kubelet/runtime/oci/images/import-images.ts'
import { ociPaths } from '../../src/runtime/kubelet/runtime/oci/oci-paths.ts'
import { OciRuntime } from '../../src/runtime/kubelet/runtime/oci/oci-runtime.ts'
import { architecture, NetworkNamespace, whyNoContainers } from './containerd.ts'

/** Why the oci runtime cannot be tried here; undefined when it can. */
export function whyNoOci(): string | undefined {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return 'real containers need root on Linux'
  const others = ['busybox', 'ip'].filter(name => findProgram(name) === undefined)
  const missing = [...missingPrograms('oci'), ...others]
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  return containerObstacle() || undefined
}

/** Each runtime with real containers, and why it cannot be tried here. */
export const realRuntimes = () => [
  { runtime: 'containerd', why: whyNoContainers() },
  { runtime: 'oci', why: whyNoOci() },
]

export interface OciBench {
  readonly directory: string
  readonly nodeId: string
  readonly namespace: NetworkNamespace
  open(): OciRuntime
  /** Under this name, an image of the machine's busybox. */
  import(name: string): Promise<void>
  remove(): Promise<void>
}

export function ociBench(): OciBench {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-oci-'))
  const nodeId = basename(directory)
  const namespace = new NetworkNamespace('oci')
  const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'error'
  const log = createLog({ level, now: Date.now, write: line => void process.stderr.write(line) })
  return {
    ...{ directory, nodeId, namespace },
    open: () =>
      new OciRuntime({
        dataDir: directory,
        nodeId,
        podRange: { cidrs: ['10.1.0.0/24'], onChange: () => {} },
        pause: pauseProgram(architecture()),
        sharedDirectories: [],
        cdiDirectories: [join(directory, 'cdi/etc'), join(directory, 'cdi/run')],
        enter: namespace.enter,
        ...{ clock: systemClock, random: systemRandom, log },
      }),
    async import(name) {
      const store = new ImageStore(ociPaths(directory).images)
      await importImages(store, await busyboxImage(name, architecture()))
    },
    async remove() {
      await endOci({
        dataDir: directory,
        nodeId,
        enter: namespace.enter,
        forgets: true,
        clock: systemClock,
      })
      namespace.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
