/** The kinds are types only, so what is tested is that ordinary code against them compiles and runs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment, KubeObject, Pod } from '../../../src/kube/types.ts'

test('a typed kind is a KubeObject and a KubeObject can be narrowed to it', () => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }] },
  }
  const plain: KubeObject = pod
  const again = plain as Pod
  const started: string | undefined = again.status?.startTime
  assert.equal(again.spec?.containers[0]?.name, 'c')
  assert.equal(started, undefined)
})

test('a template keeps wire types at every depth', () => {
  const deployment: Deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c' }] } },
      strategy: { rollingUpdate: { maxSurge: '25%' } },
    },
  }
  const metadata = deployment.spec?.template.metadata
  assert.deepEqual(metadata?.labels, { a: 'b' })
})
