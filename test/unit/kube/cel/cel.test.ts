import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileExpression } from '../../../../src/kube/cel/cel.ts'
import { type CelEnv, TYPE_NAMES } from '../../../../src/kube/cel/env.ts'
import { fromJson } from '../../../../src/kube/cel/json-value.ts'
import { kubernetesFunctions } from '../../../../src/kube/cel/library/library.ts'
import { DYN, INT, listOf, STRING } from '../../../../src/kube/cel/types.ts'

const env: CelEnv = {
  variables: new Map([
    ['object', DYN],
    ['count', INT],
    ['names', listOf(STRING)],
  ]),
  functions: kubernetesFunctions,
  typeNames: TYPE_NAMES,
  isHomogeneous: true,
}
const object = {
  metadata: { name: 'web', labels: { 'app.io/name': 'web' } },
  spec: { replicas: 3, ratio: 0.5 },
}
const bindings = { object: fromJson(object, DYN), count: 3n, names: ['a', 'b', 'c'] }
const LIMIT = 1_000_000

function evaluate(source: string, limit = LIMIT) {
  const compiled = compileExpression(source, env)
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.message)
  return compiled.program.evaluate(bindings, limit)
}

const holds = [
  "object.spec.replicas == 3 && object.spec.ratio == 0.5 && object.metadata.name == 'web'",
  "object.metadata.labels['app.io/name'] == 'web'",
  'has(object.spec) && !has(object.status)',
  "object.?status.?phase.orValue('none') == 'none'",
  "names.isSorted() && names.max() == 'c' && names.min() == 'a' && [1, 2, 3].sum() == 6",
  "names.indexOf('b') == 1 && ['a', 'b', 'a'].lastIndexOf('a') == 2",
  "'abc 123'.find('[0-9]+') == '123' && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
  "'WEB'.matches('(?i)^web$') && !'web'.matches('^(a+)+$')",
  "url('https://example.com:80/a?b=c').getHostname() == 'example.com' && isURL('/a') && !isURL('a b')",
  "url('https://user@example.com:80/a%20b?x=1&x=2').getPort() == '80' && url('https://a/b?x=1&x=2').getQuery() == {'x': ['1', '2']}",
  "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').add(quantity('1500m')).asInteger() == 2",
  "isQuantity('1.5Gi') && !isQuantity('x') && quantity('-1').sign() == -1",
  "ip('::1').isLoopback() && ip('10.0.0.1').isGlobalUnicast() && ip.isCanonical('127.0.0.1') && !isIP('1.2.3')",
  "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
  "format.dns1123Label().validate('A').hasValue() && !format.named('dns1123Label').value().validate('a').hasValue()",
  "semver('1.2.3').isLessThan(semver('1.10.0')) && !isSemver('v1') && isSemver('v1.2', true)",
  'sets.contains([1, 2, 3], [3, 1]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])',
  "{'a': 1}.all(k, v, k == 'a' && v == 1) && [1, 2].transformMap(i, v, v * 2) == {0: 2, 1: 4}",
  "'a-b'.split('-').join('+') == 'a+b' && 'hello'.charAt(1) == 'e' && ' x '.trim() == 'x' && 'abc'.reverse() == 'cba'",
  "math.greatest(1, 3, 2) == 3 && base64.decode(base64.encode(b'x')) == b'x'",
  "timestamp('2024-02-29T10:00:00.000000001Z') - timestamp('2024-02-29T09:00:00Z') > duration('1h')",
  "timestamp('2024-07-01T12:00:00Z').getHours('Europe/Berlin') == 14",
  "'%s has %d of %.1f%%'.format([dyn('x'), 3, 12.25]) == 'x has 3 of 12.2%'",
  'true || object.nope.x',
  'names.exists(n, n.nope == 1 || n == "a") || true'.replace('n.nope == 1', 'int(n) == 1'),
]

for (const source of holds) {
  test(`it holds that ${source}`, () => {
    const outcome = evaluate(source)
    assert.deepEqual(outcome.ok ? outcome.value : outcome.error, true)
  })
}

const errors: readonly (readonly [string, string])[] = [
  ['object.nope', 'no such key: nope'],
  ['1 / 0', 'division by zero'],
  ['9223372036854775807 + count', 'integer overflow'],
  ['names[5]', 'index out of bounds: 5'],
  ["object.spec.replicas + 'a'", 'no such overload'],
]

for (const [source, expected] of errors) {
  test(`${source} ends with “${expected}”`, () => {
    const outcome = evaluate(source)
    assert.equal(outcome.ok ? 'no error' : outcome.error, expected)
  })
}

test('a problem is shown with its place', () => {
  const compiled = compileExpression('1 + x', env)
  assert.equal(
    compiled.ok ? '' : compiled.message,
    "ERROR: <input>:1:5: undeclared reference to 'x' (in container '')\n | 1 + x\n | ....^",
  )
})

/** As upstream's interpreter counts them. */
const costs: readonly (readonly [string, number])[] = [
  ['true', 0],
  ['count == 3', 2],
  ['object.spec.replicas', 3],
  ['[1, 2, 3]', 10],
  ["{'a': 1}", 30],
  ['names.all(n, true)', 11],
  ["'abc'.startsWith('a')", 1],
  ['names.map(n, n)', 51],
]

for (const [source, cost] of costs) {
  test(`${source} costs ${cost}`, () => {
    assert.equal(evaluate(source).cost, cost)
  })
}

test('an evaluation stops at its limit', () => {
  const outcome = evaluate('names.all(a, names.all(b, names.all(c, a != b || b != c || true)))', 50)
  assert.ok(!outcome.ok && outcome.isOverLimit)
  assert.equal(outcome.error, 'operation cancelled: actual cost limit exceeded')
})

test('lists and strings do not grow without end', () => {
  let source = '[1, 2, 3, 4]'
  for (let index = 0; index < 40; index++) source = `cel.bind(x, ${source}, x + x)`
  assert.match(JSON.stringify(evaluate(`(${source}).size() > 1`)), /at most 1000000 items/)
})

test('whatever is written is compiled or refused, and evaluated or an error', () => {
  const words = [
    ...[
      'object',
      'names',
      'count',
      'x',
      '1',
      '2u',
      '1.5',
      "'a'",
      "b'a'",
      'true',
      'null',
      '.',
      '?',
      '[',
      ']',
      '(',
    ],
    ...[
      ')',
      '{',
      '}',
      ',',
      ':',
      '+',
      '-',
      '*',
      '/',
      '%',
      '!',
      '==',
      '<',
      'in',
      '&&',
      '||',
      'all',
      'map',
      'has',
    ],
    ...[
      'size',
      'matches',
      'spec',
      'optMap',
      'format',
      'quantity',
      'replace',
      'split',
      'dyn',
      'type',
      '@',
      '"',
    ],
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 24 }), parts => {
      const compiled = compileExpression(parts.join(' '), env)
      if (compiled.ok) {
        compiled.program.estimate()
        compiled.program.evaluate(bindings, LIMIT)
      }
    }),
    { numRuns: 3_000 },
  )
})
