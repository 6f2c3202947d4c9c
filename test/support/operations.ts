/** All that clients do with a kind's objects, tried once: what conformance calls its API operations. */
import assert from 'node:assert/strict'
import { at, itemsOf, type Namespace, nameOf, type Suite } from './conformance.ts'
import { until } from './until.ts'

export interface Operated {
  /** Empty for the core group. */
  readonly group: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  readonly body: (index: number) => object
  readonly hasStatus?: boolean
}

const annotated = (state: string) => ({ metadata: { annotations: { state } } })
const merged = (object: object, state: string) => {
  const { metadata } = object as { metadata: object }
  return { metadata: { ...metadata, annotations: { state } } }
}

/** As those that the test selects. */
export const labelled = (object: object) => {
  const { metadata } = object as { metadata: object }
  return { ...object, metadata: { ...metadata, labels: { special: 'label' } } }
}

/** Discovery, create, list, get, patch, update, status, delete, deletecollection, and what a watch tells of them. */
export async function tryOperations(suite: Suite, home: Namespace, operated: Operated): Promise<void> {
  const { group, resource, namespaced, body, hasStatus = false } = operated
  const root = group === '' ? '/api/v1' : `/apis/${group}/v1`
  const groups = itemsOf({ items: (await suite.ok('GET', '/apis'))['groups'] })
  assert.ok(group === '' || groups.some(each => each['name'] === group))
  const found = itemsOf({ items: (await suite.ok('GET', root))['resources'] })
  assert.ok(found.some(each => each['name'] === resource))
  const path = namespaced ? `${root}/namespaces/${home.name}/${resource}` : `${root}/${resource}`
  const names = async (where: string) => itemsOf(await suite.ok('GET', where)).map(nameOf)
  const objects = [1, 2, 3].map(index => labelled(body(index)))
  const watch = await suite.watch(`${path}?watch=true&labelSelector=special=label`)
  for (const object of objects) await suite.ok('POST', path, object)
  const [first = ''] = objects.map(nameOf)
  const selected = `${path}?labelSelector=special=label`
  assert.deepEqual((await names(selected)).sort(), objects.map(nameOf).sort())
  if (namespaced) assert.equal((await names(`${root}/${resource}?labelSelector=special=label`)).length, 3)
  assert.equal(nameOf(await suite.ok('GET', `${path}/${first}`)), first)
  const patched = await suite.ok('PATCH', `${path}/${first}`, annotated('patched'), 'merge')
  assert.equal(at(patched, 'metadata.annotations.state'), 'patched')
  const updated = await suite.ok('PUT', `${path}/${first}`, { ...patched, ...merged(patched, 'updated') })
  assert.equal(at(updated, 'metadata.annotations.state'), 'updated')
  if (hasStatus) await tryStatus(suite, `${path}/${first}`)
  await suite.ok('DELETE', `${path}/${first}`)
  await until('it to be gone', async () => !(await names(selected)).includes(first))
  await suite.ok('DELETE', selected)
  await until('all to be gone', async () => (await names(selected)).length === 0)
  for (const type of ['ADDED', 'MODIFIED', 'DELETED']) {
    await watch.find(type, event => event.type === type && nameOf(event.object) === first)
  }
  watch.close()
}

async function tryStatus(suite: Suite, path: string): Promise<void> {
  const before = await suite.ok('GET', `${path}/status`)
  assert.equal(`${path}`.endsWith(`/${nameOf(before)}`), true)
  const status = await suite.ok('PATCH', `${path}/status`, annotated('status'), 'merge')
  assert.equal(at(status, 'metadata.annotations.state'), 'status')
  await suite.ok('PUT', `${path}/status`, status)
}
