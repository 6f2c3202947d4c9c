/** What monitoring rules read of the API server besides its requests. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { renderMetrics } from '../../../src/runtime/metrics/metrics.ts'
import { serverMetrics } from '../../../src/runtime/server-metrics.ts'

test('the version, the process and the APIServices that cannot be asked are told', () => {
  const service = (name: string, status?: string) => ({
    ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name } },
    ...(status === undefined ? {} : { status: { conditions: [{ type: 'Available', status }] } }),
  })
  const text = renderMetrics(
    serverMetrics({
      ...{ version: { major: '1', minor: '36', gitVersion: 'v1.36.0' }, platform: 'linux/amd64' },
      ...{ cpuSeconds: 1.5, startedAtSeconds: 1000 },
      apiServices: [service('v1.apps', 'True'), service('v1.dead', 'False'), service('v1.new')],
    }),
  )
  const samples = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  assert.deepEqual(samples, [
    'kubernetes_build_info{git_version="v1.36.0",major="1",minor="36",platform="linux/amd64"} 1',
    'process_cpu_seconds_total 1.5',
    'process_start_time_seconds 1000',
    'aggregator_unavailable_apiservice{name="v1.apps"} 0',
    'aggregator_unavailable_apiservice{name="v1.dead"} 1',
    'aggregator_unavailable_apiservice{name="v1.new"} 1',
  ])
})
