/** Which GPUs a machine has, and whether containers can be given them, out of what its kernel says (pure). */

export type Vendor = 'nvidia' | 'amd' | 'intel'

/** A function of a PCI device. */
export interface PciFunction {
  /** `0000:00:04.0` */
  readonly address: string
  /** In hex, without 0x: `10de`, `1eb8`, `030200`. */
  readonly vendor: string
  readonly device: string
  readonly class: string
  /** Of the kernel; empty when none has taken it. */
  readonly driver: string
  readonly numaNode: number | null
  /** `card0`, `renderD128`. */
  readonly drm: readonly string[]
}

/** What NVIDIA's driver says of a device. */
export interface NvidiaFacts {
  readonly minor: string
  readonly uuid: string
  readonly model: string
}

export interface Hardware {
  readonly functions: readonly PciFunction[]
  /** Those below /dev that matter here, by their whole paths. */
  readonly files: ReadonlySet<string>
  /** By PCI address. */
  readonly nvidia: ReadonlyMap<string, NvidiaFacts>
}

export interface Gpu {
  readonly vendor: Vendor
  /** `nvidia.com/gpu` */
  readonly resource: string
  /** Stays the same over restarts. */
  readonly id: string
  /** In hex, of the vendor. */
  readonly pciVendor: string
  /** Empty when nobody knows. */
  readonly model: string
  readonly numaNode: number | null
  /** Device files that a container needs for it. */
  readonly files: readonly string[]
  /** Under these names the vendor's tool describes it, if it does. */
  readonly cdiNames: readonly string[]
  /** Why no container can have it; empty when one can. */
  readonly problem: string
}

const VENDORS: Readonly<Record<string, Vendor>> = { '10de': 'nvidia', '1002': 'amd', '8086': 'intel' }
/** Display controllers; AMD's largest are processing accelerators. */
const DISPLAY = /^03(00|02|80)/
const ACCELERATOR = /^1200/
/** Of all of NVIDIA's together. */
const NVIDIA_FILES = ['nvidiactl', 'nvidia-uvm', 'nvidia-uvm-tools', 'nvidia-modeset']
const INTEL_DRIVERS = ['i915', 'xe']

export function findGpus(hardware: Hardware): Gpu[] {
  const counts: Partial<Record<Vendor, number>> = {}
  const gpus = [...hardware.functions]
    .sort((a, b) => (a.address < b.address ? -1 : 1))
    .flatMap(found => {
      const vendor = VENDORS[found.vendor]
      if (vendor === undefined) return []
      const isGpu = DISPLAY.test(found.class) || (vendor === 'amd' && ACCELERATOR.test(found.class))
      if (!isGpu) return []
      const index = counts[vendor] ?? 0
      counts[vendor] = index + 1
      return [{ ...FINDERS[vendor](found, index, hardware), pciVendor: found.vendor }]
    })
  return [...gpus, ...(counts.nvidia === undefined ? boardGpus(hardware) : [])]
}

type Found = Omit<Gpu, 'pciVendor'>

const FINDERS: Readonly<Record<Vendor, (found: PciFunction, index: number, all: Hardware) => Found>> = {
  nvidia(found, index, { nvidia, files }) {
    const facts = nvidia.get(found.address)
    const id = facts?.uuid || found.address
    const own = facts && `/dev/nvidia${facts.minor}`
    return {
      ...{ vendor: 'nvidia', resource: 'nvidia.com/gpu', id, numaNode: found.numaNode },
      model: facts?.model ?? '',
      files: own === undefined ? [] : [own, ...sharedFiles(files)],
      cdiNames: [`nvidia.com/gpu=${id}`, `nvidia.com/gpu=${index}`],
      problem:
        own === undefined
          ? driverProblem(found, ['nvidia'])
          : files.has(own)
            ? missingFile('/dev/nvidiactl', files)
            : missingFile(own, files),
    }
  },
  amd(found, index, { files }) {
    return {
      ...{ vendor: 'amd', resource: 'amd.com/gpu', id: found.address, numaNode: found.numaNode, model: '' },
      files: ['/dev/kfd', ...drmFiles(found)],
      cdiNames: [`amd.com/gpu=${index}`],
      problem:
        driverProblem(found, ['amdgpu']) || missingFile('/dev/kfd', files) || renderProblem(found, files),
    }
  },
  intel(found, _index, { files }) {
    const driver = INTEL_DRIVERS.includes(found.driver) ? found.driver : 'i915'
    const card = found.drm.find(name => name.startsWith('card'))
    return {
      ...{ vendor: 'intel', resource: `gpu.intel.com/${driver}`, id: found.address, model: '' },
      numaNode: found.numaNode,
      files: drmFiles(found),
      cdiNames: [
        `intel.com/gpu=${found.address.replaceAll(':', '-')}-0x${found.device}`,
        ...(card === undefined ? [] : [`intel.com/gpu=${card}`]),
      ],
      problem: driverProblem(found, INTEL_DRIVERS) || renderProblem(found, files),
    }
  },
}

/** Boards and guests whose GPU is on no PCI bus still have its device file. */
function boardGpus({ files }: Hardware): Gpu[] {
  const minors = [...files].flatMap(path => /^\/dev\/nvidia(\d+)$/.exec(path)?.[1] ?? []).sort()
  return minors.map((minor, index) => ({
    ...{ vendor: 'nvidia', resource: 'nvidia.com/gpu', id: `nvidia${minor}`, pciVendor: '10de', model: '' },
    ...{ numaNode: null, cdiNames: [`nvidia.com/gpu=${index}`] },
    files: [`/dev/nvidia${minor}`, ...sharedFiles(files)],
    problem: missingFile('/dev/nvidiactl', files),
  }))
}

const sharedFiles = (files: Hardware['files']): string[] =>
  NVIDIA_FILES.map(name => `/dev/${name}`).filter(path => files.has(path))

const drmFiles = ({ drm }: PciFunction): string[] => drm.map(name => `/dev/dri/${name}`)

const missingFile = (path: string, files: Hardware['files']): string =>
  files.has(path) ? '' : `${path} is missing`

function driverProblem({ driver }: PciFunction, wanted: readonly string[]): string {
  if (wanted.includes(driver)) return ''
  const has = driver === '' ? 'it has no driver' : `its driver is ${driver}`
  return `${has} and not ${wanted.join(' or ')}`
}

function renderProblem(found: PciFunction, files: Hardware['files']): string {
  if (!found.drm.some(name => name.startsWith('renderD'))) return 'it has no render node'
  return drmFiles(found)
    .map(path => missingFile(path, files))
    .filter(Boolean)
    .join(', ')
}
