/** What the API server's `/metrics` says of the process, its version and the extension API servers. Pure. */
import { isAvailable } from '../kube/extension-services.ts'
import type { KubeObject } from '../kube/object.ts'
import type { APIService } from '../kube/types.ts'
import type { Metric } from './metrics/metrics.ts'

export interface ServerFigures {
  readonly version: { readonly major: string; readonly minor: string; readonly gitVersion: string }
  readonly platform: string
  readonly cpuSeconds: number
  readonly startedAtSeconds: number
  readonly apiServices: readonly KubeObject[]
}

export function serverMetrics(figures: ServerFigures): readonly Metric[] {
  const { version, platform, cpuSeconds, startedAtSeconds, apiServices } = figures
  const { major, minor, gitVersion } = version
  return [
    {
      ...{ name: 'kubernetes_build_info', type: 'gauge', value: 1 },
      help: 'The version, as labels.',
      labels: { git_version: gitVersion, major, minor, platform },
    },
    {
      ...{ name: 'process_cpu_seconds_total', type: 'counter', value: cpuSeconds },
      help: 'Processor time of the daemon.',
    },
    {
      ...{ name: 'process_start_time_seconds', type: 'gauge', value: startedAtSeconds },
      help: 'When the daemon was started.',
    },
    ...apiServices.map(
      (service): Metric => ({
        ...{ name: 'aggregator_unavailable_apiservice', type: 'gauge' },
        help: 'Whether what an APIService names cannot be asked.',
        labels: { name: service.metadata.name ?? '' },
        value: Number(!isAvailable(service as unknown as APIService)),
      }),
    ),
  ]
}
