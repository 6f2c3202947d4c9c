/** Definitions of add-ons, their parameters and manifests: what is taken, and how what is not is told of. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { type AddonDefinition, parseDefinition } from '../../../../src/runtime/addons/definition.ts'
import { completeParameters, readArgument, readWords } from '../../../../src/runtime/addons/parameters.ts'
import { checkManifests, renderManifests } from '../../../../src/runtime/addons/render-manifests.ts'

const facts = { clusterDomain: 'cluster.local', serviceCidr: '', podCidr: '', dnsAddress: '10.152.183.10' }

function parse(lines: string): AddonDefinition {
  return parseDefinition(`name: web\nversion: "1.0.0"\ndescription: A web server\n${lines}`)
}

function problemsOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof Mk8sError)
    return `${error.why}`
  }
  return ''
}

const PARAMETERS = `argument: hosts
parameters:
  - { name: size, type: quantity, default: 1Gi }
  - { name: count, type: integer, minimum: 1, maximum: 3, default: 1 }
  - { name: hosts, type: list, pattern: '[a-z.]+', default: [] }
  - { name: level, type: enum, values: [low, high], default: low }
  - { name: loud, type: boolean, default: false }
  - { name: token, type: string }
`

test('every problem of a definition is told with its path', () => {
  const text = problemsOf(() =>
    parse('dependancies: [dns]\nimages: web:1\nmanifests: [../x.yaml]\nparameters: [{ name: a, type: int }]'),
  )
  assert.match(text, /^dependancies: is unknown; did you mean dependencies\?$/m)
  assert.match(text, /^images: has to be a list$/m)
  assert.match(text, /^manifests\[0\]: "\.\.\/x\.yaml" has to be a path inside/m)
  assert.match(text, /^parameters\[0\]\.type: "int" has to be one of string, integer/m)
  assert.match(
    problemsOf(() => parseDefinition('name: Web')),
    /^version: is missing$/m,
  )
})

test('what no field alone can tell is checked as well', () => {
  assert.match(
    problemsOf(() => parse('argument: size')),
    /argument: there is no parameter size/,
  )
  assert.match(
    problemsOf(() => parse('parameters: [{ name: count, type: integer, default: many }]')),
    /parameters\[0\]\.default: "many" has to be a whole number/,
  )
})

test('words of a command line become values of the right type', () => {
  const definition = parse(PARAMETERS)
  assert.deepEqual(readWords(definition, ['count=2', 'loud=true', 'hosts=a,b', 'token=x=y']), {
    ...{ count: 2, loud: true, hosts: ['a', 'b'], token: 'x=y' },
  })
})

test('an argument behind the colon is a value, or pairs', () => {
  const definition = parse(PARAMETERS)
  assert.deepEqual(readArgument(definition, 'a.example,b.example'), { hosts: ['a.example', 'b.example'] })
  assert.deepEqual(readArgument(definition, 'size=40Gi'), { size: '40Gi' })
  assert.deepEqual(readArgument(definition, 'hosts=a,b,count=2'), { hosts: ['a', 'b'], count: 2 })
  assert.throws(() => readArgument(parse(''), '40Gi'), /does not take the argument 40Gi/)
})

test('parameters that cannot be used are all told, with the nearest name', () => {
  const definition = parse(PARAMETERS)
  const given = { sise: '1Gi', size: 'much', count: 4, hosts: ['A'], level: 'middle', loud: 'yes' }
  const text = problemsOf(() => completeParameters(definition, given))
  for (const pattern of [
    /^sise: there is no such parameter; did you mean size\?$/m,
    /^size: "much" has to be a quantity/m,
    /^count: 4 has to be at most 3$/m,
    /^hosts: "A" does not match/m,
    /^level: "middle" has to be one of low, high$/m,
    /^loud: "yes" has to be true or false$/m,
    /^token: has to be given/m,
  ])
    assert.match(text, pattern)
})

const MANIFEST = `apiVersion: v1
kind: ConfigMap
metadata: { name: web, labels: { own: label } }
data:
  count: "\${count}"
  text: "\${count:text}"
  line: "hosts \${hosts} at \${mk8s.dnsAddress}, not $\${count}"
`

test('parameters fill in strings, with their type where they stand alone', () => {
  const definition = parse(`${PARAMETERS}manifests: [web.yaml]`)
  const parameters = completeParameters(definition, { token: 'x', hosts: ['a', 'b'] })
  const [map] = renderManifests({ definition, files: { 'web.yaml': MANIFEST }, parameters, facts })
  assert.deepEqual(map?.['data'], {
    ...{ count: 1, text: '1', line: 'hosts a,b at 10.152.183.10, not $' + '{count}' },
  })
  assert.deepEqual(map?.metadata.labels, {
    ...{ own: 'label', 'app.kubernetes.io/managed-by': 'mk8s', 'addons.mk8s.io/name': 'web' },
  })
})

test('a value cannot add structure to a manifest', () => {
  const definition = parse(`${PARAMETERS}manifests: [web.yaml]`)
  const files = { 'web.yaml': MANIFEST.replace('count:text', 'token') }
  const token = 'x"\n  evil: "1\n---\nkind: Secret'
  const parameters = completeParameters(definition, { token })
  const objects = renderManifests({ definition, files, parameters, facts })
  assert.equal(objects.length, 1)
  assert.partialDeepStrictEqual(objects[0], { data: { text: token } })
})

test('a manifest is left out unless its parameter is set', () => {
  const definition = parse(
    `${PARAMETERS}manifests:\n  - { file: web.yaml, when: hosts }\n  - { file: web.yaml, when: '!loud' }`,
  )
  const countOf = (given: object) =>
    renderManifests({
      ...{ definition, files: { 'web.yaml': MANIFEST }, facts },
      parameters: completeParameters(definition, { token: 'x', ...given }),
    }).length
  assert.equal(countOf({}), 1)
  assert.equal(countOf({ hosts: ['a'] }), 2)
  assert.equal(countOf({ loud: true }), 0)
})

test('a manifest that is missing, or names what is no parameter, is told of before anything is enabled', () => {
  const definition = parse('manifests: [web.yaml]')
  assert.match(
    problemsOf(() => checkManifests({ definition, files: {}, facts })),
    /web\.yaml is missing/,
  )
  assert.match(
    problemsOf(() => checkManifests({ definition, files: { 'web.yaml': MANIFEST }, facts })),
    /web\.yaml: \$\{count\} is no parameter/,
  )
})
