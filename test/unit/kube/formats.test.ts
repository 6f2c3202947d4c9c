/** JSON and YAML as text. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonError, parseJson } from '../../../src/kube/json.ts'
import { parseYaml, parseYamlDocuments, renderYaml } from '../../../src/kube/yaml.ts'

test('keys that stand twice are found with their paths and the last one counts', () => {
  const text = '{"a":1,"a":2,"s":{"l":[{"x":1},{"x":"a\\"","y":{},"x":2}],"s\\u0061":0,"sa":1},"b":{"a":1}}'
  const { value, duplicateFields } = parseJson(text, { findDuplicates: true })
  assert.deepEqual(duplicateFields, ['a', 's.l[1].x', 's.sa'])
  assert.equal((value as { a: number }).a, 2)
  assert.deepEqual(parseJson(text).duplicateFields, [])
})

test('text that is no JSON is refused in the words of Go', () => {
  const cases: Record<string, string> = {
    '': 'unexpected end of JSON input',
    '{': 'unexpected end of JSON input',
    '{"a":': 'unexpected end of JSON input',
    '{"a": "b': 'unexpected end of JSON input',
    '{a:1}': "invalid character 'a' looking for beginning of object key string",
    '{"a" 1}': "invalid character '1' after object key",
    '{"a":1 "b"}': `invalid character '"' after object key:value pair`,
    '[1 2]': "invalid character '2' after array element",
    '[1,]': "invalid character ']' looking for beginning of value",
    '{"a":1,}': "invalid character '}' looking for beginning of object key string",
    '{} x': "invalid character 'x' after top-level value",
    nope: "invalid character 'n' looking for beginning of value",
  }
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(() => parseJson(text), { name: 'JsonError', message }, text)
  }
  assert.throws(() => parseJson('['.repeat(100_000)), JsonError)
})

test('YAML is read as kubectl reads it', () => {
  const text = '[0644, 0o17, 1_000, 0x1F, 0b11, yes, off, n, 2001-01-01, 12:30:45, 08, 1e3, ~, "yes", _1, -5]'
  const expected = [
    420,
    15,
    1000,
    31,
    3,
    true,
    false,
    false,
    '2001-01-01',
    '12:30:45',
    8,
    1000,
    null,
    'yes',
    '_1',
    -5,
  ]
  assert.deepEqual(parseYaml(text), expected)
  assert.deepEqual(parseYaml('n: 1\nx: &a {b: 1}\nz: {<<: *a, c: 2}'), {
    false: 1,
    x: { b: 1 },
    z: { b: 1, c: 2 },
  })
  assert.equal(parseYamlDocuments('a: 1\n---\n---\nb: 2\n').length, 3)
})

test('what is rendered as YAML reads back the same', () => {
  const value = {
    texts: ['yes', '0644', '1_000', 'n', 'x: y', '', ' a', 'multi\nline\n', '12:30', '~', '# c'],
    numbers: [0, -1, 1.5, 1e21],
    nested: { y: [{ n: null }] },
  }
  assert.deepEqual(parseYaml(renderYaml(value)), value)
})

test('aliases that would fill the memory are refused', () => {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]']
  for (let i = 1; i < 9; i++) lines.push(`a${i}: &a${i} [${new Array(10).fill(`*a${i - 1}`).join(',')}]`)
  assert.throws(() => parseYaml(lines.join('\n')), /excessive aliasing/)
})

test('aliases of one long text that would fill the memory are refused', () => {
  const text = `a: &a ${'x'.repeat(100_000)}\nb: [${Array(400).fill('*a').join(', ')}]\n`
  assert.throws(() => parseYaml(text), /excessive aliasing/)
})
