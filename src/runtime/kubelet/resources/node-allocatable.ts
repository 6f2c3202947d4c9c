/** What a node has for pods: its machine less what is kept for the system, for Kubernetes and from eviction (pure). */
import { integerValue, milliValue, parseQuantity } from '../../../kube/quantity.ts'
import type { HostFacts } from '../host-facts.ts'

export const PODS_MAX = 110

/** As the kubelet's settings of the same names: quantities by resource. */
export interface Reserved {
  readonly kubeReserved?: Readonly<Record<string, string>>
  readonly systemReserved?: Readonly<Record<string, string>>
}

export interface NodeAmounts {
  readonly cpuMillis: number
  readonly memoryBytes: number
  readonly diskBytes: number
  /** By size of a page. */
  readonly hugepages: Readonly<Record<string, number>>
}

/** Memory that is kept for huge pages is no other memory. */
export function allocatableAmounts(host: HostFacts, reserved: Reserved = {}): NodeAmounts {
  const kept = (name: string, value: (text: string) => number) =>
    [reserved.kubeReserved, reserved.systemReserved].reduce(
      (sum, list) => sum + value(list?.[name] ?? '0'),
      0,
    )
  const { hugepages = {} } = host
  const pageBytes = Object.values(hugepages).reduce((sum, bytes) => sum + bytes, 0)
  const whole = (text: string) => integerValue(parseQuantity(text))
  const millis = (text: string) => milliValue(parseQuantity(text))
  return {
    cpuMillis: Math.max(0, host.cpuCount * 1_000 - kept('cpu', millis)),
    memoryBytes: Math.max(0, host.memoryBytes - kept('memory', whole) - pageBytes),
    diskBytes: Math.max(0, host.diskBytes - kept('ephemeral-storage', whole)),
    hugepages,
  }
}

/** All that the machine has. */
export function capacityAmounts(host: HostFacts): NodeAmounts {
  return { ...allocatableAmounts(host), memoryBytes: host.memoryBytes }
}

const MIB = 1_024 ** 2
const pages = (bytes: number): string => (bytes === 0 ? '0' : `${bytes / MIB}Mi`)

export function renderAmounts({
  cpuMillis,
  memoryBytes,
  diskBytes,
  hugepages,
}: NodeAmounts): Record<string, string> {
  return {
    cpu: cpuMillis % 1_000 === 0 ? String(cpuMillis / 1_000) : `${cpuMillis}m`,
    'ephemeral-storage': `${Math.floor(diskBytes / 1_024)}Ki`,
    memory: `${Math.floor(memoryBytes / 1_024)}Ki`,
    ...Object.fromEntries(
      Object.entries(hugepages).map(([size, bytes]) => [`hugepages-${size}`, pages(bytes)]),
    ),
    pods: String(PODS_MAX),
  }
}
