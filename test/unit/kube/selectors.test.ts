/** Label and field selectors. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchesFields, parseFieldSelector } from '../../../src/kube/field-selector.ts'
import { formatLabelSelector, matchesLabels, parseLabelSelector, selects } from '../../../src/kube/labels.ts'

test('label selectors match as kubectl users expect', () => {
  const labels = { app: 'web', tier: 'front', n: '5', empty: '' }
  const yes = ['', 'app', '!gone', 'app=web', 'app==web,tier!=back', 'app in (web, db)', 'gone!=x']
  yes.push(
    'tier notin (a,b)',
    'gone notin (a)',
    'n>4',
    'n<6',
    'empty=',
    'empty in ()',
    'empty in (a,)',
    'empty in (,a)',
    ' app = web , n ',
  )
  for (const text of yes) assert.ok(matchesLabels(parseLabelSelector(text), labels), text)
  const no = ['gone', '!app', 'app=db', 'app!=web', 'app in (db)', 'app notin (web)', 'n>5', 'app>1', 'gone=']
  for (const text of no) assert.ok(!matchesLabels(parseLabelSelector(text), labels), text)
})

test('a label selector prints in the form it parses from', () => {
  const text = 'a=b,c in (d,e),f notin (g),h,!i,j!=k,l>1'
  assert.equal(formatLabelSelector(parseLabelSelector(text)), text)
})

test('a label selector that cannot be understood is refused in words', () => {
  const cases: [string, RegExp][] = [
    ['a b', /^unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt$/],
    ['a,', /^found '', expected: identifier after ','$/],
    ['a in b', /^unable to parse requirement: found 'b' expected: '\('$/],
    ['a in (b c)', /^unable to parse requirement: found 'c', expected: ',' or '\)'$/],
    ['a in (b', /^unable to parse requirement: found '', expected: ',' or '\)'$/],
    ['a in (', /^unable to parse requirement: found '', expected: ',', '\)' or identifier$/],
    ['=a', /^found '=', expected: !, identifier, or 'end of string'$/],
    ['a=b c', /^found 'c', expected: ',' or 'end of string'$/],
    ['-a=b', /^unable to parse requirement: key: Invalid value: "-a": name part must consist of/],
    ['a=b@', /^unable to parse requirement: values\[0\]\[a\]: Invalid value: "b@": a valid label must be/],
  ]
  for (const [text, expected] of cases) assert.throws(() => parseLabelSelector(text), { message: expected })
})

test('an absent LabelSelector selects nothing and an empty one everything', () => {
  assert.equal(selects(undefined, { a: 'b' }), false)
  assert.equal(selects({}, { a: 'b' }), true)
  assert.equal(selects({ matchLabels: { a: 'b' } }, { a: 'b', c: 'd' }), true)
  const expressions = [{ key: 'a', operator: 'NotIn', values: ['b'] }]
  assert.equal(selects({ matchExpressions: expressions }, { a: 'b' }), false)
})

test('field selectors compare, negate and unescape', () => {
  const fields = { 'metadata.name': 'a,b', 'status.phase': 'Running' }
  assert.ok(matchesFields(parseFieldSelector('metadata.name=a\\,b,status.phase!=Failed'), fields))
  assert.ok(!matchesFields(parseFieldSelector('status.phase==Pending'), fields))
  assert.deepEqual(parseFieldSelector(''), [])
  assert.throws(() => parseFieldSelector('abc'), {
    message: "invalid selector: 'abc'; can't understand 'abc'",
  })
})
