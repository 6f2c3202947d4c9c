/** Strategic merge patch, compared with real kubectl where one is at hand. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseModel } from '../../../../src/kube/model.ts'
import { applyStrategicMerge } from '../../../../src/kube/patch/strategic-merge.ts'
import { decodeObject } from '../../../../src/kube/schema.ts'
import { KUBECTL, otherKubectl, run } from '../../../support/kubectl.ts'

const root = join(import.meta.dirname, '../../../..')
const model = parseModel(readFileSync(join(root, 'build/model/model.json'), 'utf8'))

const kubectl = existsSync(KUBECTL) ? KUBECTL : otherKubectl()

const container = (name: string, more: object = {}) => ({ name, image: `${name}:1`, ...more })
const pod = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec })
const original = pod({
  containers: [
    container('a', { ports: [{ containerPort: 80 }], env: [{ name: 'X', value: '1' }] }),
    container('b', { args: ['1', '2'] }),
    container('c'),
  ],
  volumes: [{ name: 'v', emptyDir: {} }],
  tolerations: [{ key: 'k', operator: 'Exists' }],
  nodeSelector: { disk: 'ssd', zone: 'z' },
})
const finalized = { ...original, metadata: { name: 'p', finalizers: ['e.com/a', 'e.com/b', 'e.com/c'] } }

const patches: Record<string, { from?: object; patch: object }> = {
  'an item merges by name and keeps its place': {
    patch: { spec: { containers: [{ name: 'b', image: 'new' }] } },
  },
  'a new item comes before those that the patch does not name': {
    patch: { spec: { containers: [container('d')] } },
  },
  'new and known items keep the order of the patch': {
    patch: { spec: { containers: [container('d'), { name: 'c', image: 'x' }, { name: 'a', image: 'y' }] } },
  },
  'an item is deleted by directive': {
    patch: { spec: { containers: [{ name: 'a', $patch: 'delete' }] } },
  },
  'a list is replaced by directive': {
    patch: { spec: { containers: [{ $patch: 'replace' }, container('z')] } },
  },
  'a map is replaced by directive': {
    patch: { spec: { nodeSelector: { $patch: 'replace', only: 'this' } } },
  },
  'a null deletes a key and an atomic list is replaced': {
    patch: { spec: { nodeSelector: { disk: null }, tolerations: [{ key: 'z', operator: 'Exists' }] } },
  },
  'an order is set over old and new items': {
    patch: {
      spec: {
        '$setElementOrder/containers': [{ name: 'c' }, { name: 'e' }, { name: 'a' }, { name: 'b' }],
        containers: [container('e'), { name: 'a', image: 'n' }],
      },
    },
  },
  'an order alone moves items': {
    patch: { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }] } },
  },
  'primitive lists merge without doubles': {
    from: finalized,
    patch: { metadata: { finalizers: ['e.com/d', 'e.com/b'] } },
  },
  'items are deleted from a primitive list': {
    from: finalized,
    patch: { metadata: { '$deleteFromPrimitiveList/finalizers': ['e.com/b'] } },
  },
  'a primitive list is ordered, shrunk and extended at once': {
    from: finalized,
    patch: {
      metadata: {
        '$setElementOrder/finalizers': ['e.com/c', 'e.com/d', 'e.com/a'],
        '$deleteFromPrimitiveList/finalizers': ['e.com/b'],
        finalizers: ['e.com/d'],
      },
    },
  },
  'only retained keys stay': {
    patch: {
      spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] },
    },
  },
  'lists nest': {
    patch: {
      spec: {
        containers: [
          {
            name: 'a',
            env: [
              { name: 'Y', value: '2' },
              { name: 'X', $patch: 'delete' },
            ],
          },
        ],
      },
    },
  },
  'ports merge by number': {
    patch: {
      spec: {
        containers: [{ name: 'a', ports: [{ containerPort: 80, name: 'http' }, { containerPort: 81 }] }],
      },
    },
  },
  'nulls and directives vanish where nothing was': {
    patch: {
      spec: {
        securityContext: { runAsUser: null, runAsGroup: 5 },
        initContainers: [{ name: 'i', $patch: 'delete' }],
      },
    },
  },
}

/** Both sides in one form: what kubectl prints has gone through its types. */
const normal = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, inner]) => [key, normal(inner)] as const)
  const kept = entries.filter(
    ([key, inner]) =>
      inner !== null &&
      key !== 'creationTimestamp' &&
      !(typeof inner === 'object' && Object.keys(inner as object).length === 0),
  )
  return Object.fromEntries(kept)
}

for (const [name, { from = original, patch }] of Object.entries(patches)) {
  test(name, { skip: kubectl === null && 'no kubectl here' }, async () => {
    const args = [
      'patch',
      '--local',
      '--type',
      'strategic',
      '-f',
      '-',
      '-p',
      JSON.stringify(patch),
      '-o',
      'json',
    ]
    const { code, stdout, stderr } = await run(kubectl ?? '', args, { input: JSON.stringify(from) })
    assert.equal(code, 0, stderr)
    const merged = applyStrategicMerge(model, 'io.k8s.api.core.v1.Pod', from, patch)
    const { object, unknownFields } = decodeObject(model, 'io.k8s.api.core.v1.Pod', merged, 'strict')
    assert.deepEqual(unknownFields, [])
    assert.deepEqual(normal(object), normal(JSON.parse(stdout)))
  })
}

test('a malformed strategic patch is refused and changes nothing', () => {
  const before = JSON.stringify(original)
  const unordered = {
    '$setElementOrder/containers': [{ name: 'a' }],
    containers: [{ name: 'b', image: 'x' }],
  }
  const bad: [code: number, patch: object][] = [
    [500, { spec: { containers: [{ image: 'no name' }] } }],
    [500, { spec: { containers: [{ name: 'a', $patch: 'explode' }] } }],
    [400, { spec: { '$setElementOrder/containers': 'x' } }],
    [500, { spec: unordered }],
    [500, { spec: { nodeSelector: { $patch: 'explode' } } }],
  ]
  for (const [code, patch] of bad) {
    assert.throws(() => applyStrategicMerge(model, 'io.k8s.api.core.v1.Pod', original, patch), { code })
  }
  assert.equal(JSON.stringify(original), before)
})
