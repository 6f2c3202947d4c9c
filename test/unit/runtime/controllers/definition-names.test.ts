/** Which names of a definition are accepted, and what its conditions say of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CustomDefinition } from '../../../../src/kube/custom-definition.ts'
import type { ResourceInfo } from '../../../../src/kube/model-types.ts'
import { planStatus } from '../../../../src/runtime/controllers/custom-resource-definition/plan.ts'

const NOW = '2026-01-01T00:00:00Z'

const definition = (
  plural: string,
  kind: string,
  over: Partial<CustomDefinition> = {},
): CustomDefinition => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.example.com` },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
    versions: [],
  },
  ...over,
})

const among = (others: readonly CustomDefinition[], builtIn: readonly ResourceInfo[] = []) => ({
  others,
  builtIn,
})

const conditionsOf = (status: CustomDefinition['status'] | null) =>
  (status?.conditions ?? []).map(one => [one.type, one.status, one.reason])

test('free names are accepted, and a second look changes nothing', () => {
  const one = definition('things', 'Thing')
  const status = planStatus(one, among([]), NOW)
  assert.deepEqual(conditionsOf(status), [
    ['NamesAccepted', 'True', 'NoConflicts'],
    ['Established', 'True', 'InitialNamesAccepted'],
  ])
  assert.deepEqual(status?.acceptedNames, one.spec.names)
  assert.equal(planStatus({ ...one, status: status ?? {} }, among([]), NOW), null)
})

test('a kind that another definition has is not accepted; its own names stay', () => {
  const first = definition('firsts', 'Same')
  const taken = { ...first, status: planStatus(first, among([]), NOW) ?? {} }
  const status = planStatus(definition('seconds', 'Same'), among([taken]), NOW)
  assert.deepEqual(conditionsOf(status), [
    ['NamesAccepted', 'False', 'ListKindConflict'],
    ['Established', 'False', 'NotAccepted'],
  ])
  assert.equal(status?.acceptedNames?.plural, 'seconds')
  assert.equal(status?.acceptedNames?.kind, '')
})

test('what is established stays so when a new name of it is taken', () => {
  const first = definition('firsts', 'First')
  const taken = { ...first, status: planStatus(first, among([]), NOW) ?? {} }
  const second = definition('seconds', 'Second')
  const established = planStatus(second, among([taken]), NOW) ?? {}
  const names = { ...second.spec.names, shortNames: ['firsts'] }
  const renamed = { ...second, status: established, spec: { ...second.spec, names } }
  assert.deepEqual(conditionsOf(planStatus(renamed, among([taken]), NOW)), [
    ['NamesAccepted', 'False', 'ShortNamesConflict'],
    ['Established', 'True', 'InitialNamesAccepted'],
  ])
})

test('a name that the server itself has in the group is not accepted', () => {
  const own = { group: 'example.com', version: 'v1', resource: 'things' }
  const builtIn: ResourceInfo = {
    ...{ ...own, kind: 'Thing', singular: 'thing', listKind: 'ThingList', storage: own },
    ...{ namespaced: true, verbs: [], shortNames: [], categories: [], subresources: [], typeName: 'Thing' },
  }
  const status = planStatus(definition('things', 'Other'), among([], [builtIn]), NOW)
  assert.deepEqual(conditionsOf(status), [
    ['NamesAccepted', 'False', 'PluralConflict'],
    ['Established', 'False', 'NotAccepted'],
  ])
  const other = { ...builtIn, group: 'other.com', storage: { ...own, group: 'other.com' } }
  assert.equal(
    planStatus(definition('things', 'Other'), among([], [other]), NOW)?.conditions?.[0]?.status,
    'True',
  )
})
