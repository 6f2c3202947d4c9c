/** What Kubernetes' conformance asks of fieldValidation=Strict, for built-in kinds and for custom resources. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { type Suite, startSuite } from '../support/conformance.ts'
import { until } from '../support/until.ts'

const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const GROUP = 'validation.example.com'
const strict = 'fieldValidation=Strict'

/** The text matters: an object literal cannot say a key twice. */
const faultyDeployment = (name: string) => `{
  "apiVersion": "apps/v1",
  "kind": "Deployment",
  "metadata": { "name": "${name}", "labels": { "app": "nginx" } },
  "spec": {
    "unknown1": "val1",
    "unknownDupe": "valDupe",
    "unknownDupe": "valDupe2",
    "paused": true,
    "paused": false,
    "selector": { "matchLabels": { "app": "nginx" } },
    "template": {
      "metadata": { "labels": { "app": "nginx" } },
      "spec": {
        "containers": [{
          "name": "nginx",
          "image": "nginx:latest",
          "unknownNested": "val1",
          "unknownNestedDupe": "valDupe",
          "unknownNestedDupe": "valDupe2",
          "imagePullPolicy": "Always",
          "imagePullPolicy": "Never"
        }]
      }
    }
  }
}`

const unknownMetadata = (name: string) => `{
  "apiVersion": "apps/v1",
  "kind": "Deployment",
  "metadata": { "name": "${name}", "unknownMeta": "foo", "labels": { "app": "nginx" } },
  "spec": {
    "replicas": 0,
    "selector": { "matchLabels": { "app": "nginx" } },
    "template": {
      "metadata": { "labels": { "app": "nginx" }, "unknownTemplateMeta": "bar" },
      "spec": { "containers": [{ "name": "nginx", "image": "nginx:latest" }] }
    }
  }
}`

const schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        foo: { type: 'string' },
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
        ports: {
          type: 'array',
          'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
          'x-kubernetes-list-type': 'map',
          items: {
            type: 'object',
            required: ['containerPort', 'protocol'],
            properties: {
              containerPort: { type: 'integer' },
              name: { type: 'string' },
              protocol: { type: 'string' },
            },
          },
        },
      },
    },
  },
}

const preserving = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const embedding = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        template: {
          type: 'object',
          'x-kubernetes-embedded-resource': true,
          properties: { spec: { type: 'object', properties: { foo: { type: 'string' } } } },
        },
      },
    },
  },
}

describe('FieldValidation', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const messageOf = async (
    method: string,
    path: string,
    body: string,
    type?: 'apply' | 'strategic' | 'merge',
  ) => (await suite.refused(method, path, body, type)).body.message ?? ''

  /** A definition with this schema: the path of its resources in the default namespace. */
  async function define(kind: string, openAPIV3Schema: object): Promise<string> {
    const plural = `${kind.toLowerCase()}s`
    await suite.ok('POST', DEFINITIONS, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.${GROUP}` },
      spec: {
        group: GROUP,
        scope: 'Namespaced',
        names: { plural, singular: kind.toLowerCase(), kind },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    })
    const path = `/apis/${GROUP}/v1/namespaces/default/${plural}`
    await until(`${plural} are served`, () => suite.exists(path))
    return path
  }

  const custom = (kind: string, name: string, rest: string, metadata = '') =>
    `{"apiVersion": "${GROUP}/v1", "kind": "${kind}", "metadata": {"name": "${name}"${metadata}}${rest}}`
  const applied = (path: string, name: string) => `${path}/${name}?${strict}&fieldManager=test`

  test('should detect unknown and duplicate fields of a typed object', async () => {
    const problems = [
      'unknown field "spec.unknown1"',
      'unknown field "spec.unknownDupe"',
      'duplicate field "spec.paused"',
      'unknown field "spec.template.spec.containers[0].unknownNested"',
      'unknown field "spec.template.spec.containers[0].unknownNestedDupe"',
      'duplicate field "spec.template.spec.containers[0].imagePullPolicy"',
    ]
    const posted = await messageOf('POST', `${DEPLOYMENTS}?${strict}`, faultyDeployment('posted'))
    assert.match(posted, /strict decoding error: /)
    for (const problem of problems) assert.ok(posted.includes(problem), `${problem} in ${posted}`)
    const kubectl = await suite.kubectl.try(['create', '--validate=strict', '-f', '-'], {
      input: faultyDeployment('created'),
    })
    assert.notEqual(kubectl.code, 0)
    assert.match(kubectl.stderr, /unknown field "spec\.unknown1"/)
    const text = await messageOf(
      'PATCH',
      applied(DEPLOYMENTS, 'applied'),
      faultyDeployment('applied'),
      'apply',
    )
    assert.match(text, /"unknownDupe" already set in map/)
    assert.match(text, /"paused" already set in map/)
    assert.equal(await suite.exists(`${DEPLOYMENTS}/posted`), false)
    assert.equal(await suite.exists(`${DEPLOYMENTS}/applied`), false)
  })

  test('should detect unknown metadata fields of a typed object', async () => {
    const posted = await messageOf('POST', `${DEPLOYMENTS}?${strict}`, unknownMetadata('posted'))
    assert.match(posted, /unknown field "metadata\.unknownMeta"/)
    assert.match(posted, /unknown field "spec\.template\.metadata\.unknownTemplateMeta"/)
    const text = await messageOf(
      'PATCH',
      applied(DEPLOYMENTS, 'applied'),
      unknownMetadata('applied'),
      'apply',
    )
    assert.match(text, /\.metadata\.unknownMeta: field not declared in schema/)
    await suite.ok('POST', `${DEPLOYMENTS}?fieldValidation=Ignore`, unknownMetadata('ignored'))
    const merged = await messageOf(
      'PATCH',
      `${DEPLOYMENTS}/ignored?${strict}`,
      '{"metadata": {"unknownMeta": "foo"}}',
      'merge',
    )
    assert.match(merged, /unknown field "metadata\.unknownMeta"/)
  })

  test('should create/apply a valid CR for CRD with validation schema', async () => {
    const path = await define('ValidNoxu', schema)
    const spec =
      ', "spec": {"cronSpec": "* * * * */5", "ports": [{"containerPort": 8080, "protocol": "TCP"}]}'
    await suite.ok('PATCH', applied(path, 'applied'), custom('ValidNoxu', 'applied', spec), 'apply')
    await suite.ok('POST', `${path}?${strict}`, custom('ValidNoxu', 'created', spec))
    await suite.kubectl.ok(['create', '--validate=true', '-f', '-'], {
      input: custom('ValidNoxu', 'by-kubectl', spec),
    })
  })

  test('should create/apply a CR with unknown fields for CRD with no validation schema', async () => {
    const path = await define('SchemalessNoxu', preserving)
    const body = (name: string) => custom('SchemalessNoxu', name, ', "spec": {"a": {"b": 1}}, "more": true')
    await suite.ok('PATCH', applied(path, 'applied'), body('applied'), 'apply')
    await suite.ok('POST', `${path}?${strict}`, body('created'))
    await suite.kubectl.ok(['create', '--validate=true', '-f', '-'], { input: body('by-kubectl') })
  })

  test('should create/apply an invalid CR with extra properties for CRD with validation schema', async () => {
    const path = await define('ExtraNoxu', schema)
    const body = (name: string) =>
      custom('ExtraNoxu', name, ', "spec": {"cronSpec": "* * * * */5", "extraProperty": "x"}')
    const text = await messageOf('PATCH', applied(path, 'applied'), body('applied'), 'apply')
    assert.match(text, /\.spec\.extraProperty: field not declared in schema/)
    const posted = await messageOf('POST', `${path}?${strict}`, body('created'))
    assert.match(posted, /strict decoding error: unknown field "spec\.extraProperty"/)
    const kubectl = await suite.kubectl.try(['create', '--validate=true', '-f', '-'], {
      input: body('by-kubectl'),
    })
    assert.match(kubectl.stderr, /unknown field "spec\.extraProperty"/)
  })

  test('should detect unknown metadata fields in both the root and embedded object of a CR', async () => {
    const path = await define('EmbeddedNoxu', embedding)
    const template =
      '"template": {"apiVersion": "foo/v1", "kind": "Sub", "metadata": {"name": "sub", "unknownSubMeta": "x"}}'
    const body = (name: string) =>
      custom('EmbeddedNoxu', name, `, "spec": {${template}}`, ', "unknownMeta": "foo"')
    const posted = await messageOf('POST', `${path}?${strict}`, body('created'))
    assert.match(posted, /unknown field "metadata\.unknownMeta"/)
    assert.match(posted, /unknown field "spec\.template\.metadata\.unknownSubMeta"/)
    const text = await messageOf('PATCH', applied(path, 'applied'), body('applied'), 'apply')
    assert.match(text, /\.metadata\.unknownMeta: field not declared in schema/)
  })

  test('should detect duplicates in a CR when preserving unknown fields', async () => {
    const path = await define('DuplicateNoxu', preserving)
    const body = (name: string) => custom('DuplicateNoxu', name, ', "spec": {"foo": "foo1", "foo": "foo2"}')
    const posted = await messageOf('POST', `${path}?${strict}`, body('created'))
    assert.match(posted, /strict decoding error: duplicate field "spec\.foo"/)
    const text = await messageOf('PATCH', applied(path, 'applied'), body('applied'), 'apply')
    assert.match(text, /key "foo" already set in map/)
  })
})
