/** The OCI distribution specification 1.1, row by row, against the registry's own thread. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { startRegistry } from '../../support/image-registry.ts'
import { ROWS, type Row } from './distribution-table.ts'

test('each category of the distribution specification is answered as it wants', async t => {
  const { url } = await startRegistry(t)
  const places = new Map<string, string>()
  for (const row of ROWS) {
    await t.test(`${row.category}: ${row.title} (${row.request.slice(0, 60)})`, () => ask(url, row, places))
  }
})

async function ask(url: string, row: Row, places: Map<string, string>): Promise<void> {
  const [method = '', target = ''] = row.request.split(' ')
  const path = target.replace(/^@(\w+)/, (_all, name: string) => must(places.get(name), `a place ${name}`))
  const { headers = {}, body } = row
  const response = await fetch(new URL(path, url), {
    ...{ method, headers },
    ...(body === undefined ? {} : { body }),
  })
  const text = await response.text()
  const statuses = typeof row.status === 'number' ? [row.status] : row.status
  assert.ok(statuses.includes(response.status), `${response.status} ${text}`)
  for (const [name, wanted] of Object.entries(row.answers ?? {})) {
    const said = response.headers.get(name)
    if (wanted instanceof RegExp) assert.match(said ?? '', wanted, name)
    else assert.equal(said, wanted, name)
  }
  expectContent(row, text)
  if (row.keep !== undefined) places.set(row.keep, must(response.headers.get('location'), 'a location'))
}

function expectContent({ request, status, code, content }: Row, text: string): void {
  if (typeof content === 'string') assert.equal(text, content)
  else if (content !== undefined) assert.partialDeepStrictEqual(JSON.parse(text), content)
  if (request.startsWith('HEAD')) assert.equal(text, '')
  if (code === undefined) return
  assert.ok(status !== 200)
  const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] }
  assert.equal(errors[0]?.code, code)
  assert.notEqual(errors[0]?.message, '')
}
