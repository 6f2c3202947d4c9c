/** Which objects of a backup a text means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { type KindInBackup, parseSelector } from '../../../../src/runtime/backup/object-selector.ts'
import { parseObjectKey, resourceNameOf } from '../../../../src/runtime/backup/state-contents.ts'

const kinds: readonly KindInBackup[] = [
  { group: '', resource: 'pods', namespaced: true, names: ['pods', 'pod', 'po'] },
  {
    group: 'apps',
    resource: 'deployments',
    namespaced: true,
    names: ['deployments', 'deployment', 'deploy'],
  },
  { group: '', resource: 'nodes', namespaced: false, names: ['nodes', 'node', 'no'] },
  { group: '', resource: 'events', namespaced: true, names: ['events', 'event', 'ev'] },
  { group: 'other.io', resource: 'events', namespaced: true, names: ['events', 'event'] },
]

const meaning = (text: string) => {
  const { kinds: found, namespace, name } = parseSelector(text, kinds)
  return [found.map(resourceNameOf).join(' '), namespace, name]
}

test('kinds go by all of their names, and by their group where two share a name', () => {
  assert.deepEqual(meaning('po'), ['pods', null, null])
  assert.deepEqual(meaning('Deployment/default'), ['deployments.apps', 'default', null])
  assert.deepEqual(meaning('deployments.apps/default/web'), ['deployments.apps', 'default', 'web'])
  assert.deepEqual(meaning('node/n1'), ['nodes', null, 'n1'])
  assert.deepEqual(meaning('events'), ['events events.other.io', null, null])
  assert.deepEqual(meaning('events.other.io'), ['events.other.io', null, null])
})

test('what means nothing is refused with a hint', () => {
  const refused = (text: string, hint: RegExp) =>
    assert.throws(
      () => parseSelector(text, kinds),
      error => error instanceof Mk8sError && error.code === 'usage' && hint.test(error.hint ?? ''),
    )
  refused('podz', /pod/)
  refused('node/a/b', /node\/NAME/)
  refused('pods/a/b/c', /NAMESPACE\/NAME/)
  refused('pods//x', /NAMESPACE\/NAME/)
})

test('keys are told apart from those that no object has', () => {
  const web = { group: 'apps', resource: 'deployments', namespace: 'default', name: 'web' }
  assert.deepEqual(parseObjectKey('/registry/apps/deployments/default/web'), web)
  assert.deepEqual(parseObjectKey('/registry/core/nodes/n1'), {
    group: '',
    resource: 'nodes',
    namespace: '',
    name: 'n1',
  })
  for (const key of ['/mk8s/config', '/registry/core/nodes', '/registry/a/b/c/d/e', '/other'])
    assert.equal(parseObjectKey(key), null)
})
