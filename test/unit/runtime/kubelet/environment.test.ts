import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMap, Container, Pod, Secret, Service } from '../../../../src/kube/types.ts'
import { parseEnvFile } from '../../../../src/runtime/kubelet/env-file.ts'
import { expandVariables, renderEnvironment } from '../../../../src/runtime/kubelet/environment.ts'
import { quantityValue } from '../../../../src/runtime/kubelet/pod-fields.ts'

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', uid: 'u', labels: { app: 'web' } },
  spec: { containers: [], nodeName: 'node-a', serviceAccountName: 'default' },
}
const map: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: {}, data: { a: '1', b: '2' } }
const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: {}, data: { p: 'cGFzcw==' } }

const serviceOf = (namespace: string, name: string, clusterIP: string): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
  spec: { clusterIP, ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
})

function render(container: Partial<Container>, over: { links?: boolean } = {}): Record<string, string> {
  return renderEnvironment({
    files: new Map([['config/vars.env', FILE]]),
    pod: {
      ...pod,
      spec: {
        containers: [],
        volumes: [{ name: 'config', emptyDir: {} }],
        ...pod.spec,
        enableServiceLinks: over.links ?? false,
      },
    },
    container: { name: 'main', ...container },
    objects: {
      configMap: name => (name === 'map' ? map : null),
      secret: name => (name === 'secret' ? secret : null),
    },
    facts: { podAddresses: ['127.1.0.7'], hostAddress: '192.0.2.1' },
    host: { cpuCount: 2, memoryBytes: 1_024, diskBytes: 1_024 } as never,
    services: [
      serviceOf('default', 'kubernetes', '10.152.183.1'),
      serviceOf('shop', 'my-db', '10.152.183.9'),
    ],
    serviceAddress: ip => ip.replace('10', '127'),
  })
}

const own = (container: Partial<Container>) => {
  const all = Object.entries(render(container)).filter(([name]) => !name.startsWith('KUBERNETES_'))
  return Object.fromEntries(all)
}

test('values come from every kind of source, later ones can use earlier ones', () => {
  const environment = own({
    resources: { limits: { memory: '64Mi' }, requests: { cpu: '250m' } },
    envFrom: [
      { prefix: 'M_', configMapRef: { name: 'map' } },
      { secretRef: { name: 'none', optional: true } },
    ],
    env: [
      { name: 'PLAIN', value: 'x' },
      { name: 'JOINED', value: '$(PLAIN)-$(M_a)-$$(PLAIN)-$(NOT_THERE)' },
      { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
      { name: 'PASS', valueFrom: { secretKeyRef: { name: 'secret', key: 'p' } } },
      { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'map', key: 'zz', optional: true } } },
      { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
      { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
      { name: 'CPUS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
    ],
  })
  assert.deepEqual(environment, {
    M_a: '1',
    M_b: '2',
    PLAIN: 'x',
    JOINED: 'x-1-$(PLAIN)-$(NOT_THERE)',
    IP: '127.1.0.7',
    LABEL: 'web',
    PASS: 'pass',
    MEM: '64',
    CPU: '250',
    CPUS: '2',
  })
})

test('what is missing is said in upstream’s words', () => {
  const ref = (key: string, name: string) => ({
    env: [{ name: 'A', valueFrom: { configMapKeyRef: { name, key } } }],
  })
  assert.throws(() => render(ref('a', 'none')), { message: 'configmap "none" not found' })
  assert.throws(() => render(ref('zz', 'map')), { message: "couldn't find key zz in ConfigMap shop/map" })
  assert.throws(() => render({ envFrom: [{ secretRef: { name: 'none' } }] }), {
    message: 'secret "none" not found',
  })
})

const FILE = `# written by an init container

  HOST='db.internal'   # here
MOTD='two
lines # and no comment'
`
const fromFile = (key: string, more: object = {}, volumeName = 'config') =>
  own({ env: [{ name: 'A', valueFrom: { fileKeyRef: { volumeName, path: 'vars.env', key, ...more } } }] })[
    'A'
  ]

test('a variable comes from a file of a volume', () => {
  assert.equal(fromFile('HOST'), 'db.internal')
  assert.equal(fromFile('MOTD'), 'two\nlines # and no comment')
  assert.equal(fromFile('NONE', { optional: true }), undefined)
  assert.throws(() => fromFile('NONE'), {
    message: 'environment variable key "NONE" not found in file "vars.env"',
  })
  assert.throws(() => fromFile('HOST', {}, 'other'), {
    message: 'cannot find the volume "other" referenced by FileKeyRef',
  })
  const unreadable = { message: "couldn't parse env file" }
  assert.throws(() => fromFile('A', { path: 'none', optional: true }), unreadable)
  for (const text of ["A = 'x'", 'A=x', 'A="x"', "A='x", "A='x' y"]) {
    assert.throws(() => parseEnvFile(`A='fine'\n${text}\n`, 'A'), unreadable, text)
  }
})

test('services are linked with the addresses that pods reach them at', () => {
  assert.deepEqual(render({}, { links: true }), {
    KUBERNETES_PORT: 'tcp://127.152.183.1:80',
    KUBERNETES_PORT_80_TCP: 'tcp://127.152.183.1:80',
    KUBERNETES_PORT_80_TCP_ADDR: '127.152.183.1',
    KUBERNETES_PORT_80_TCP_PORT: '80',
    KUBERNETES_PORT_80_TCP_PROTO: 'tcp',
    KUBERNETES_SERVICE_HOST: '127.152.183.1',
    KUBERNETES_SERVICE_PORT: '80',
    KUBERNETES_SERVICE_PORT_HTTP: '80',
    MY_DB_PORT: 'tcp://127.152.183.9:80',
    MY_DB_PORT_80_TCP: 'tcp://127.152.183.9:80',
    MY_DB_PORT_80_TCP_ADDR: '127.152.183.9',
    MY_DB_PORT_80_TCP_PORT: '80',
    MY_DB_PORT_80_TCP_PROTO: 'tcp',
    MY_DB_SERVICE_HOST: '127.152.183.9',
    MY_DB_SERVICE_PORT: '80',
    MY_DB_SERVICE_PORT_HTTP: '80',
  })
  assert.ok(Object.keys(render({})).every(name => name.startsWith('KUBERNETES_')))
})

test('expansion leaves alone what is no reference', () => {
  const cases = ['$', 'a$b', '$$', '$$$(A)', '$(A', '$(A)$(A)', '$(toString)']
  const results = cases.map(text => expandVariables(text, { A: 'v' }))
  assert.deepEqual(results, ['$', 'a$b', '$', '$v', '$(A', 'vv', '$(toString)'])
})

test('quantities have decimal, binary and exponent forms', () => {
  assert.deepEqual(['1', '500m', '1Ki', '2M', '1e3', '1.5Gi'].map(quantityValue), [
    1,
    0.5,
    1_024,
    2_000_000,
    1_000,
    1.5 * 2 ** 30,
  ])
  assert.ok(Number.isNaN(quantityValue('1X')))
})
