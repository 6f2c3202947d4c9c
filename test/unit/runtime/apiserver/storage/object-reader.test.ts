import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createObjectReader } from '../../../../../src/runtime/apiserver/storage/object-reader.ts'
import { makeServer, pod, realModel } from '../harness.ts'

test('the pods of a node are those bound to it now, whatever else bears its name', async () => {
  const server = makeServer()
  const reader = createObjectReader(server.store, realModel())
  const namesOn = (node: string, namespace?: string) =>
    reader.podsOn(node, namespace).map(({ metadata }) => metadata.name)
  const path = '/api/v1/namespaces/default/pods'
  const make = async (object: unknown) => {
    assert.equal((await server.call('POST', path, object)).status, 201)
  }
  const bind = async (name: string, node: string) => {
    const target = { apiVersion: 'v1', kind: 'Node', name: node }
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target }
    assert.equal((await server.call('POST', `${path}/${name}/binding`, binding)).status, 201)
  }
  await make(pod('before'))
  await bind('before', 'a')
  await make(pod('named', { nodeName: 'a' }))
  assert.deepEqual(namesOn('a'), ['before'])
  await make(pod('after'))
  assert.deepEqual(namesOn('a'), ['before'])
  await bind('after', 'a')
  await bind('named', 'b')
  assert.deepEqual(namesOn('a'), ['before', 'after'])
  assert.deepEqual(namesOn('b'), ['named'])
  assert.deepEqual(namesOn('a', 'default'), ['before', 'after'])
  assert.deepEqual(namesOn('a', 'kube-system'), [])
  const gone = await server.call('DELETE', `${path}/before?gracePeriodSeconds=0`)
  assert.equal(gone.status, 200)
  assert.deepEqual(namesOn('a'), ['after'])
  assert.deepEqual(namesOn('nowhere'), [])
})
