/** The CPU manager as the node's settings want it. */
import { join } from 'node:path'
import { milliValue, parseQuantity } from '../../../kube/quantity.ts'
import type { KubeletParts } from '../kubelet-parts.ts'
import type { Reserved } from '../resources/node-allocatable.ts'
import { CpuManager, type CpuManagerParts } from './cpu-manager.ts'
import { parseCpus } from './cpu-set.ts'
import { type Cpu, readCpus } from './cpu-topology.ts'
import type { CpuPolicy, CpuPool } from './plan-cpus.ts'
import { takeCpus } from './take-cpus.ts'

type Parts = Pick<KubeletParts, 'runtime' | 'directories' | 'settings' | 'log'> &
  Pick<CpuManagerParts, 'livePods'>

export function createCpus({ runtime, directories, settings, log, livePods }: Parts): CpuManager {
  const path = join(directories.pods, '..', 'cpu_manager_state')
  return new CpuManager({ pool: poolOf({ runtime, settings, log }), path, livePods, runtime, log })
}

function poolOf({ runtime, settings, log }: Pick<Parts, 'runtime' | 'settings' | 'log'>): CpuPool | null {
  const { cpuPolicy, reserved } = settings
  if (cpuPolicy?.policy !== 'static') return null
  const pool = staticPool(readCpus(), cpuPolicy, reserved)
  const why = runtime.setCpus === undefined ? `the runtime ${runtime.name} cannot` : pool.problem
  if (why === undefined) return pool
  log.warn('no container gets processors of its own', { why })
  return null
}

/** Processors that are never given away; without any there is a problem, as with upstream's policy `static`. */
export function staticPool(
  all: readonly Cpu[],
  { reservedSystemCpus }: CpuPolicy,
  { kubeReserved, systemReserved }: Reserved = {},
): CpuPool & { readonly problem?: string } {
  const ids = new Set(all.map(({ id }) => id))
  if (reservedSystemCpus !== undefined) {
    const reserved = parseCpus(reservedSystemCpus) ?? new Set<number>()
    const isThere = reserved.size > 0 && reserved.isSubsetOf(ids)
    const problem = `reservedSystemCPUs names processors that are not there: ${reservedSystemCpus}`
    return { all, reserved, ...(isThere ? {} : { problem }) }
  }
  const millis = [kubeReserved, systemReserved].reduce(
    (sum, amounts) => sum + milliValue(parseQuantity(amounts?.['cpu'] ?? '0')),
    0,
  )
  const reserved = takeCpus(all, ids, Math.ceil(millis / 1_000)) ?? new Set<number>()
  const problem = 'the policy static needs cpu in systemReserved or kubeReserved, or reservedSystemCPUs'
  return { all, reserved, ...(reserved.size > 0 ? {} : { problem }) }
}

/** What is reserved by name takes the place of what is reserved by number. */
export function reservedByCpus(reserved: Reserved, cpus: string): Reserved {
  const { cpu: _kube, ...kubeReserved } = reserved.kubeReserved ?? {}
  return {
    kubeReserved,
    systemReserved: { ...reserved.systemReserved, cpu: `${parseCpus(cpus)?.size ?? 0}` },
  }
}
