/** What the add-on `multus` says to the kubelets. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { builtInAddons } from '../../../src/runtime/addons/built-in.ts'
import { completeParameters } from '../../../src/runtime/addons/parameters.ts'
import { settingsOf } from '../../../src/runtime/node-networks.ts'

test('namespaces are not isolated unless it is said, as the definition of the add-on has it', () => {
  const { definition } = must(builtInAddons().get('multus'), 'the add-on')
  const parameters = completeParameters(definition, {})
  assert.deepEqual(settingsOf({ spec: {} }), settingsOf({ spec: { parameters } }))
  assert.deepEqual(settingsOf({}), { namespaceIsolation: false, globalNamespaces: ['default'] })
  const given = { 'namespace-isolation': true, 'global-namespaces': [] }
  const wanted = { namespaceIsolation: true, globalNamespaces: [] }
  assert.deepEqual(settingsOf({ spec: { parameters: given } }), wanted)
})
