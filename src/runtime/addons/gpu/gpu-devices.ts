/** GPUs as devices of the kubelet: what is offered, what a container gets, and what nodes are labelled with (pure). */
import type { Gpu, Vendor } from './find-gpus.ts'

export interface OfferedDevice {
  readonly id: string
  readonly health: 'Healthy' | 'Unhealthy'
  readonly topology?: { readonly nodes: readonly { readonly id: number }[] }
}

/** Between a GPU's id and the number of one of its shares. */
const SHARE = '::'
const gpuIdOf = (deviceId: string): string => deviceId.split(SHARE)[0] ?? ''

/** A GPU that is shared is offered several times. One that was there and is not any more is ill. */
export function offeredDevices(
  known: readonly Gpu[],
  { present, replicas }: { readonly present: readonly Gpu[]; readonly replicas: number },
): OfferedDevice[] {
  return known.flatMap(({ id, numaNode }) => {
    const isHealthy = present.some(gpu => gpu.id === id && gpu.problem === '')
    const device = {
      health: isHealthy ? ('Healthy' as const) : ('Unhealthy' as const),
      ...(numaNode === null ? {} : { topology: { nodes: [{ id: numaNode }] } }),
    }
    if (replicas === 1) return [{ id, ...device }]
    return Array.from({ length: replicas }, (_, share) => ({ id: `${id}${SHARE}${share}`, ...device }))
  })
}

export interface Allocation {
  readonly envs: Readonly<Record<string, string>>
  readonly devices: readonly { containerPath: string; hostPath: string; permissions: string }[]
  readonly cdiDevices: readonly { readonly name: string }[]
}

/** `cdi`: names that specifications of the machine have. What one describes has the vendor's libraries with it. */
export function allocationOf(
  deviceIds: readonly string[],
  { gpus, cdi }: { readonly gpus: readonly Gpu[]; readonly cdi: ReadonlySet<string> },
): Allocation {
  const wanted = [...new Set(deviceIds.map(gpuIdOf))].map(id => {
    const gpu = gpus.find(each => each.id === id)
    if (gpu === undefined || gpu.problem !== '')
      throw new Error(`the GPU ${id} cannot be used: ${gpu?.problem ?? 'it is gone'}`)
    return gpu
  })
  const described = wanted.map(gpu => gpu.cdiNames.find(name => cdi.has(name)))
  const plain = wanted.filter((_, index) => described[index] === undefined)
  const files = [...new Set(plain.flatMap(gpu => gpu.files))]
  const nvidia = plain.filter(({ vendor }) => vendor === 'nvidia').map(({ id }) => id)
  return {
    envs: nvidia.length > 0 ? { NVIDIA_VISIBLE_DEVICES: nvidia.join(',') } : {},
    devices: files.map(path => ({ containerPath: path, hostPath: path, permissions: 'rw' })),
    cdiDevices: described.flatMap(name => (name === undefined ? [] : [{ name }])),
  }
}

/** Shares of the GPUs that have the most of them left, so that pods are spread over GPUs. */
export function preferredShares(
  available: readonly string[],
  { mustInclude, count }: { readonly mustInclude: readonly string[]; readonly count: number },
): string[] {
  const chosen = [...mustInclude]
  const left = available.filter(id => !chosen.includes(id))
  const room = new Map<string, number>()
  for (const id of left) room.set(gpuIdOf(id), (room.get(gpuIdOf(id)) ?? 0) + 1)
  while (chosen.length < count && left.length > 0) {
    const most = Math.max(...room.values())
    const next = left.findIndex(id => room.get(gpuIdOf(id)) === most)
    const [id = ''] = left.splice(next, 1)
    room.set(gpuIdOf(id), most - 1)
    chosen.push(id)
  }
  return chosen
}

const PREFIXES: Readonly<Record<Vendor, string>> = {
  nvidia: 'nvidia.com/gpu.',
  amd: 'amd.com/gpu.',
  intel: 'gpu.intel.com/',
}
const PCI = /^feature\.node\.kubernetes\.io\/pci-(10de|1002|8086)\.present$/
const INTEL = 'intel.feature.node.kubernetes.io/gpu'
const OWN = ['present', 'count', 'product', 'replicas']

export interface LabelSettings {
  readonly replicas: number
  /** False: the vendor's own plugin offers them, and labels what it knows better. */
  readonly isOffered: boolean
}

/** In the names that the vendors' own tools use, so that charts and selectors written for these work. */
export function gpuLabels(
  gpus: readonly Gpu[],
  { replicas, isOffered }: LabelSettings,
): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const vendor of new Set(gpus.map(gpu => gpu.vendor))) {
    const own = gpus.filter(gpu => gpu.vendor === vendor)
    const usable = own.filter(({ problem }) => problem === '')
    labels[`feature.node.kubernetes.io/pci-${own[0]?.pciVendor}.present`] = 'true'
    if (usable.length === 0) continue
    const prefix = PREFIXES[vendor]
    labels[`${prefix}present`] = 'true'
    if (vendor === 'intel') labels[INTEL] = 'true'
    if (!isOffered) continue
    const product = labelValue(usable[0]?.model ?? '')
    labels[`${prefix}count`] = String(usable.length)
    if (product !== '') labels[`${prefix}product`] = replicas > 1 ? `${product}-SHARED` : product
    if (replicas > 1) labels[`${prefix}replicas`] = String(replicas)
  }
  return labels
}

/** What to change of a node's labels: null takes one away. Only those that this add-on could have set. */
export function labelChanges(
  now: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): Record<string, string | null> {
  const isOurs = (name: string) =>
    PCI.test(name) ||
    name === INTEL ||
    Object.values(PREFIXES).some(prefix => OWN.some(end => name === `${prefix}${end}`))
  const gone = Object.keys(now).filter(name => isOurs(name) && wanted[name] === undefined)
  const other = Object.entries(wanted).filter(([name, value]) => now[name] !== value)
  return { ...Object.fromEntries(gone.map(name => [name, null])), ...Object.fromEntries(other) }
}

const labelValue = (text: string): string =>
  text
    .trim()
    .replaceAll(/[^\w.-]+/g, '-')
    .slice(0, 56)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')

const VENDOR_NAMES: Readonly<Record<Vendor, string>> = { nvidia: 'NVIDIA', amd: 'AMD', intel: 'Intel' }

/** For people: what the node has, and what is in the way. */
export function describeGpus(gpus: readonly Gpu[], vendors: readonly Vendor[]): string {
  if (gpus.length === 0) {
    const names = vendors.map(vendor => VENDOR_NAMES[vendor])
    return `no GPU of ${names.join(', ')} is on this node's PCI bus or in its /dev`
  }
  const counts = new Map<string, number>()
  for (const { problem, resource } of gpus) {
    if (problem === '') counts.set(resource, (counts.get(resource) ?? 0) + 1)
  }
  const usable = Array.from(counts, ([resource, count]) => `${count} ${resource}`)
  const bad = gpus.filter(({ problem }) => problem !== '')
  const troubles = bad.map(
    ({ vendor, id, problem }) => `the ${VENDOR_NAMES[vendor]} GPU ${id} cannot be used: ${problem}`,
  )
  return [...usable, ...troubles].join('; ')
}
