/** What a cluster says of registries, and where an image is asked for then. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  divideDocument,
  endpointsOf,
  joinDocuments,
  mergeRegistries,
  readDocument,
} from '../../../../src/kube/registries/registries.ts'

const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'
const DOCUMENT = `
mirrors:
  docker.io:
    endpoint: [https://mirror.example:5000, "http://cache.example/v2/hub"]
    rewrite: {"^library/(.*)": "hub/$1"}
  "*":
    endpoint: [https://all.example]
configs:
  mirror.example:5000:
    auth: {username: ann, password: secret}
    tls: {insecure_skip_verify: true}
`
const image = { registry: 'docker.io', repository: 'library/web', ownBase: 'https://registry-1.docker.io/v2' }

test('mirrors are asked in their order with rewritten names, and the registry itself at the end', () => {
  const { registries, problems } = mergeRegistries({ 'registries.yaml': DOCUMENT }, {})
  assert.deepEqual(problems, [])
  const found = endpointsOf(registries, image)
  assert.deepEqual(
    found.map(({ base, repository }) => `${base} ${repository}`),
    [
      'https://mirror.example:5000/v2 hub/web',
      'http://cache.example/v2/hub hub/web',
      'https://registry-1.docker.io/v2 library/web',
    ],
  )
  assert.deepEqual(found[0]?.settings.login, { username: 'ann', password: 'secret' })
  assert.deepEqual(
    found.map(({ settings }) => settings.tls.insecureSkipVerify),
    [true, false, false],
  )
})

test('the star stands for every registry that has no mirrors of its own', () => {
  const { registries } = mergeRegistries({ 'registries.yaml': DOCUMENT }, {})
  const other = { registry: 'quay.example', repository: 'a/b', ownBase: 'https://quay.example/v2' }
  assert.deepEqual(
    endpointsOf(registries, other).map(({ base }) => base),
    ['https://all.example/v2', 'https://quay.example/v2'],
  )
})

test('each owner has a document, people have the last word, and one that is wrong is left out', () => {
  const entry = (host: string) => `mirrors: {docker.io: {endpoint: ["https://${host}"]}}`
  const { registries, problems } = mergeRegistries(
    {
      'registries.yaml': entry('people.example'),
      'zz-add-on.yaml': entry('add-on.example'),
      'wrong.yaml': 'mirrors: {docker.io: {endpoints: []}}',
    },
    {},
  )
  assert.equal(endpointsOf(registries, image)[0]?.base, 'https://people.example/v2')
  assert.deepEqual(problems, [
    'ConfigMap kube-system/mk8s-registries: wrong.yaml: mirrors[docker.io]: unknown field "endpoints"',
  ])
})

test('credentials and keys go into the secret half, and both halves make the whole again', () => {
  const document = {
    mirrors: { 'docker.io': { endpoint: ['https://m.example'] } },
    configs: {
      'm.example': { auth: { username: 'ann', password: 'hush' }, tls: { ca: PEM, cert: PEM, key: PEM } },
      'plain.example': { tls: { insecure_skip_verify: true } },
    },
  }
  const { open, hidden } = divideDocument(document)
  assert.ok(!open.includes('hush') && !open.includes('key:'), open)
  const joined = joinDocuments(open, hidden)
  assert.deepEqual(joined.mirrors, document.mirrors)
  assert.deepEqual(joined.configs?.['m.example'], document.configs['m.example'])
})

test('what is wrong is named by its place, and values that may be secrets are not told', () => {
  const { problems } = readDocument(`
mirrors:
  "http://a": {endpoint: ["ftp://x"], rewrite: {"(": x}}
  b: {endpoint: ["https://ann:hush@b.example"]}
configs:
  c: {auth: {password: hush}, tls: {ca: hush, insecure_skip_verify: maybe, ca_file: /etc/ca}}
other: 1
`)
  const text = problems.join('\n')
  for (const part of [
    'the document: unknown field "other"',
    `mirrors: "http://a" is no registry's host`,
    'mirrors[http://a].endpoint: "ftp://x" is no URL with http or https',
    'mirrors[http://a].rewrite: Invalid regular expression',
    'mirrors[b].endpoint: b.example: credentials belong under configs[b.example].auth',
    'configs[c].auth: a password without a username',
    'configs[c].tls.ca is not PEM',
    'configs[c].tls.ca_file: nodes read no files',
    'configs[c].tls.insecure_skip_verify is neither true nor false',
  ]) {
    assert.ok(text.includes(part), `${part}\n\n${text}`)
  }
  assert.ok(!text.includes('hush'))
})
