/** The part `gpu`: finds the GPUs of a node, labels the node with them, and offers them to its kubelet as a device plugin. */
import { join } from 'node:path'
import type { Timer } from '../../../base/clock.ts'
import type { Health } from '../../../base/component.ts'
import { messageOf } from '../../../base/errors.ts'
import { NODES } from '../../../client/resources.ts'
import type { Node } from '../../../kube/types.ts'
import { CDI_DIRECTORIES, readCdiFiles } from '../../kubelet/runtime/cdi/read-cdi.ts'
import type { ParameterValues } from '../addon-object.ts'
import type { Part, PartContext, RunningPart } from '../part.ts'
import { findGpus, type Gpu, type Vendor } from './find-gpus.ts'
import { allocationOf, describeGpus, gpuLabels, labelChanges, offeredDevices } from './gpu-devices.ts'
import { GpuPlugin } from './gpu-plugin.ts'
import { readHardware } from './read-hardware.ts'

export interface GpuPlaces {
  /** Of the machine's files. */
  readonly root: string
  /** Where the kubelet has its socket for device plugins. */
  readonly devicePlugins: string
}

/** A driver may be loaded, and a GPU fall off its bus, at any time. */
const LOOK_MS = 10_000
/** The kubelet may yet have to start. */
const RETRY_MS = 1_000

export const gpuPart = (places: GpuPlaces): Part => ({
  name: 'gpu',
  async start(context, parameters): Promise<RunningPart> {
    const keeper = new GpuKeeper(places, context, settingsOf(parameters))
    await keeper.look()
    return { health: () => keeper.health(), stop: async () => keeper.stop() }
  },
  cleanUp: context => setLabels(context, {}),
})

interface GpuSettings {
  readonly vendors: readonly Vendor[]
  readonly replicas: number
  readonly isOffered: boolean
  readonly usesCdi: boolean
}

const settingsOf = (parameters: ParameterValues): GpuSettings => ({
  vendors: parameters['vendors'] as readonly Vendor[],
  replicas: Number(parameters['replicas']),
  isOffered: parameters['plugin'] === 'builtin',
  usesCdi: parameters['cdi'] === true,
})

class GpuKeeper {
  readonly #places: GpuPlaces
  readonly #context: PartContext
  readonly #settings: GpuSettings
  readonly #plugins = new Map<string, GpuPlugin>()
  /** All that could be used once, by their ids. */
  readonly #known = new Map<string, Gpu>()
  #present: readonly Gpu[] = []
  #timer: Timer | null = null
  #problem = ''
  #isStopped = false

  constructor(places: GpuPlaces, context: PartContext, settings: GpuSettings) {
    this.#places = places
    this.#context = context
    this.#settings = settings
  }

  /** A node without one works as well as any: what it says is for people. */
  health(): Health {
    const problem =
      this.#problem || [...this.#plugins.values()].find(({ problem }) => problem !== '')?.problem
    if (problem) return { ok: false, reason: problem }
    return { ok: true, reason: describeGpus(this.#present, this.#settings.vendors) }
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    for (const plugin of this.#plugins.values()) plugin.close()
  }

  async look(): Promise<void> {
    const { clock, log } = this.#context
    try {
      await this.#reconcile()
      this.#problem = ''
    } catch (error) {
      this.#problem = messageOf(error)
      log.warn('the GPUs of this node cannot be looked after', { error })
    }
    const againMs = this.health().ok ? LOOK_MS : RETRY_MS
    if (!this.#isStopped) this.#timer = clock.after(againMs, () => void this.look())
  }

  async #reconcile(): Promise<void> {
    const { vendors, replicas, isOffered } = this.#settings
    const found = findGpus(await readHardware(this.#places.root))
    this.#present = found.filter(({ vendor }) => vendors.includes(vendor))
    for (const gpu of this.#present) if (gpu.problem === '') this.#known.set(gpu.id, gpu)
    await setLabels(this.#context, gpuLabels(this.#present, { replicas, isOffered }))
    if (!isOffered || this.#isStopped) return
    const known = [...this.#known.values()]
    for (const resource of new Set(known.map(gpu => gpu.resource))) {
      const own = known.filter(gpu => gpu.resource === resource)
      const devices = offeredDevices(own, { present: this.#present, replicas })
      await this.#pluginOf(resource).offer(devices)
    }
  }

  #pluginOf(resource: string): GpuPlugin {
    const { clock, log } = this.#context
    const plugin =
      this.#plugins.get(resource) ??
      new GpuPlugin({
        ...{ resource, directory: this.#places.devicePlugins, clock, log },
        allocate: async ids => allocationOf(ids, { gpus: this.#present, cdi: await this.#cdiNames() }),
      })
    this.#plugins.set(resource, plugin)
    return plugin
  }

  async #cdiNames(): Promise<ReadonlySet<string>> {
    if (!this.#settings.usesCdi) return new Set()
    const { files } = await readCdiFiles(CDI_DIRECTORIES.map(path => join(this.#places.root, path)))
    const names = files.flatMap(({ spec }) => spec.devices.map(({ name }) => `${spec.kind}=${name}`))
    return new Set(names)
  }
}

async function setLabels(
  { client, nodeName }: PartContext,
  wanted: Readonly<Record<string, string>>,
): Promise<void> {
  const node = await client.get<Node>(NODES, { name: nodeName })
  const labels = labelChanges(node.metadata.labels ?? {}, wanted)
  if (Object.keys(labels).length === 0) return
  await client.patch(NODES, { name: nodeName, type: 'merge', patch: { metadata: { labels } } })
}
