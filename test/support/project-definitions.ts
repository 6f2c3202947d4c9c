/**
 * CustomResourceDefinitions of the shapes that well-known projects use, written for the tests: a certificate manager,
 * a monitoring operator, a delivery tool, a service mesh, a gateway and a composition engine, each with an instance
 * that it accepts and ones that it refuses.
 */

import {
  containerSchema,
  type Definition,
  deep,
  define,
  fields,
  flag,
  type Instance,
  instance,
  keyed,
  list,
  mapOf,
  open,
  quantity,
  secretKey,
  text,
  whole,
} from './definition-schemas.ts'

export interface ProjectDefinition {
  readonly definition: Definition
  readonly instance: Instance
  /** What the server fills in, by path. */
  readonly filled: Readonly<Record<string, unknown>>
  /** Changes to the instance's spec, and how they are refused. */
  readonly refused: readonly (readonly [change: object, why: RegExp])[]
}

/** Defaults in depth, duration strings, enums in lists, columns out of conditions. */
const certificates: ProjectDefinition = {
  definition: define(
    {
      group: 'certs.example.com',
      plural: 'certificates',
      kind: 'Certificate',
      shortNames: ['cert', 'certs'],
      categories: ['certs'],
    },
    [
      {
        name: 'v1',
        spec: fields(
          {
            secretName: text,
            dnsNames: list(text, { 'x-kubernetes-list-type': 'atomic' }),
            duration: { ...text, format: 'duration' },
            usages: list({ ...text, enum: ['signing', 'digital signature', 'server auth', 'client auth'] }),
            issuerRef: fields(
              { name: text, kind: { ...text, default: 'Issuer' }, group: text },
              { required: ['name'] },
            ),
            privateKey: fields(
              {
                algorithm: { ...text, enum: ['RSA', 'ECDSA', 'Ed25519'], default: 'RSA' },
                rotationPolicy: { ...text, enum: ['Never', 'Always'], default: 'Always' },
                size: { type: 'integer' },
              },
              { default: {} },
            ),
            keystores: fields({
              pkcs12: fields({ create: flag, passwordSecretRef: secretKey }, { required: ['create'] }),
            }),
          },
          { required: ['issuerRef', 'secretName'] },
        ),
        more: {
          additionalPrinterColumns: [
            { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type == "Ready")].status' },
            { name: 'Secret', type: 'string', jsonPath: '.spec.secretName' },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          selectableFields: [{ jsonPath: '.spec.secretName' }],
        },
      },
    ],
  ),
  instance: instance('certs.example.com/v1', 'Certificate', {
    secretName: 'web-tls',
    dnsNames: ['web.example.com'],
    duration: '2160h',
    usages: ['server auth'],
    issuerRef: { name: 'ca' },
    keystores: { pkcs12: { create: true, passwordSecretRef: { key: 'password' } } },
  }),
  filled: {
    'spec.privateKey.algorithm': 'RSA',
    'spec.privateKey.rotationPolicy': 'Always',
    'spec.issuerRef.kind': 'Issuer',
    'spec.keystores.pkcs12.passwordSecretRef.name': '',
  },
  refused: [
    [
      { usages: ['anything'] },
      /spec\.usages\[0\]: Unsupported value: "anything": supported values: "signing"/,
    ],
    [{ privateKey: { algorithm: 'DSA' } }, /spec\.privateKey\.algorithm: Unsupported value: "DSA"/],
    [{ issuerRef: { name: null } }, /spec\.issuerRef\.name: Required value/],
  ],
}

/** Pod-like trees several levels deep, quantities, ports by key with a default in the key, and 500 KiB of it. */
const monitors: ProjectDefinition = {
  definition: define(
    { group: 'monitoring.example.com', plural: 'collectors', kind: 'Collector', shortNames: ['coll'] },
    [
      {
        name: 'v1',
        spec: fields({
          replicas: whole({ minimum: 0 }),
          retention: {
            ...text,
            pattern: '^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?)$',
            default: '24h',
          },
          resources: fields({ limits: mapOf(quantity), requests: mapOf(quantity) }),
          containers: list(containerSchema(), keyed('name')),
          affinity: deep(7, 9),
          storage: fields({ volumeClaimTemplate: fields({ metadata: open, spec: deep(6, 9) }) }),
          remoteWrite: list(
            fields({ url: { ...text, minLength: 1 }, headers: mapOf(text), tls: deep(5, 9) }),
          ),
          scrapeTimeout: { 'x-kubernetes-int-or-string': true },
        }),
        more: {
          subresources: {
            status: {},
            scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
          },
        },
      },
    ],
  ),
  instance: instance('monitoring.example.com/v1', 'Collector', {
    replicas: 2,
    resources: { limits: { cpu: 2, memory: '1Gi' } },
    containers: [
      {
        name: 'main',
        ports: [{ containerPort: 9090 }, { containerPort: 9090, protocol: 'UDP' }],
        args: ['-x'],
      },
    ],
    storage: { volumeClaimTemplate: { metadata: { labels: { a: 'b' } } } },
    remoteWrite: [{ url: 'https://store.example.com' }],
    scrapeTimeout: '10s',
  }),
  filled: { 'spec.retention': '24h', 'spec.containers.0.ports.0.protocol': 'TCP' },
  refused: [
    [{ resources: { limits: { cpu: 'lots' } } }, /spec\.resources\.limits\.cpu: Invalid value: "lots"/],
    [
      { containers: [{ name: 'a', ports: [{ containerPort: 1 }, { containerPort: 1, protocol: 'TCP' }] }] },
      /spec\.containers\[0\]\.ports\[1\]: Duplicate value/,
    ],
    [{ scrapeTimeout: true }, /spec\.scrapeTimeout in body must be of type integer,string/],
    [{ replicas: -1 }, /spec\.replicas in body should be greater than or equal to 0/],
  ],
}

/** Free-form parts inside a strict whole, operations beside spec, finalizers without a path. */
const applications: ProjectDefinition = {
  definition: define(
    {
      group: 'delivery.example.com',
      plural: 'applications',
      kind: 'Application',
      shortNames: ['app', 'apps'],
    },
    [
      {
        name: 'v1alpha1',
        spec: fields(
          {
            project: text,
            destination: fields({ namespace: text, server: text, name: text }),
            source: fields({
              repoURL: text,
              helm: fields({
                valuesObject: open,
                parameters: list(fields({ name: text, value: text, forceString: flag })),
              }),
              kustomize: fields({
                patches: list(fields({ patch: text, target: open })),
                commonLabels: mapOf(text),
              }),
            }),
            syncPolicy: fields({
              automated: fields({ prune: flag, selfHeal: flag }),
              retry: fields({
                limit: { type: 'integer', format: 'int64' },
                backoff: fields({ factor: { type: 'integer' } }),
              }),
            }),
            ignoreDifferences: list(fields({ kind: text, jsonPointers: list(text) }, { required: ['kind'] })),
          },
          { required: ['destination', 'project'] },
        ),
        root: { 'x-kubernetes-preserve-unknown-fields': true },
        more: { subresources: {} },
      },
    ],
  ),
  instance: instance(
    'delivery.example.com/v1alpha1',
    'Application',
    {
      project: 'default',
      destination: { server: 'https://kubernetes.default.svc', namespace: 'web' },
      source: {
        repoURL: 'https://git.example.com/web',
        helm: { valuesObject: { replicas: 3, deep: { list: [1, 'two', { three: false }] } } },
      },
      syncPolicy: { automated: { prune: true } },
    },
    { finalizers: ['resources-finalizer.delivery.example.com'] },
  ),
  filled: { 'spec.source.helm.valuesObject.deep.list.1': 'two' },
  refused: [
    [{ project: null }, /spec\.project: Required value/],
    [
      { syncPolicy: { retry: { limit: 'x' } } },
      /spec\.syncPolicy\.retry\.limit in body must be of type integer/,
    ],
  ],
}

const requiring = (...names: string[]) => ({ anyOf: names.map(name => ({ required: [name] })) })
/** At most one of several fields, as generators out of protobuf write it. */
const atMostOne = (...names: string[]) => ({
  oneOf: [{ not: requiring(...names) }, ...names.map(name => ({ required: [name] }))],
})

/** oneOf with not and anyOf, rules in CEL, several versions with the same schema. */
const routes: ProjectDefinition = {
  definition: define(
    { group: 'mesh.example.com', plural: 'virtualservices', kind: 'VirtualService', shortNames: ['vs'] },
    ['v1', 'v1beta1', 'v1alpha3'].map(name => ({
      name,
      spec: fields({
        hosts: list(text),
        http: list(
          fields({
            match: list(
              fields({
                uri: fields(
                  { exact: text, prefix: text, regex: text },
                  atMostOne('exact', 'prefix', 'regex'),
                ),
                headers: mapOf(
                  fields({ exact: text, prefix: text, regex: text }, atMostOne('exact', 'prefix', 'regex')),
                ),
              }),
            ),
            timeout: {
              ...text,
              'x-kubernetes-validations': [
                {
                  rule: "duration(self) >= duration('1ms')",
                  message: 'must be a valid duration greater than 1ms',
                },
              ],
            },
            mirrorPercentage: fields({ value: { type: 'number', format: 'double' } }),
            route: list(
              fields(
                {
                  destination: fields({
                    host: text,
                    port: fields({ number: { type: 'integer', maximum: 4_294_967_295, minimum: 0 } }),
                  }),
                  weight: whole(),
                },
                { required: ['destination'] },
              ),
            ),
          }),
        ),
      }),
    })),
  ),
  instance: instance('mesh.example.com/v1', 'VirtualService', {
    hosts: ['web'],
    http: [
      {
        match: [{ uri: { prefix: '/api' }, headers: { who: { exact: 'me' } } }],
        timeout: '5s',
        mirrorPercentage: { value: 0.5 },
        route: [{ destination: { host: 'web', port: { number: 80 } }, weight: 100 }],
      },
    ],
  }),
  filled: { 'spec.http.0.mirrorPercentage.value': 0.5 },
  refused: [
    [
      { http: [{ match: [{ uri: { prefix: '/a', exact: '/b' } }] }] },
      /"spec\.http\[0\]\.match\[0\]\.uri" must validate one and only one schema \(oneOf\)\. Found 2 valid alternatives/,
    ],
    [{ http: [{ timeout: '1us' }] }, /must be a valid duration greater than 1ms/],
    [{ http: [{ route: [{ weight: 1 }] }] }, /spec\.http\[0\]\.route\[0\]\.destination: Required value/],
  ],
}

/** Rules across lists, transitions, defaults that are lists of objects. */
const gateways: ProjectDefinition = {
  definition: define(
    { group: 'gateways.example.com', plural: 'gateways', kind: 'Gateway', shortNames: ['gtw'] },
    [
      {
        name: 'v1',
        spec: fields(
          {
            gatewayClassName: {
              ...text,
              maxLength: 253,
              minLength: 1,
              'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'Value is immutable' }],
            },
            listeners: list(
              fields(
                {
                  name: { ...text, maxLength: 253 },
                  hostname: { ...text, maxLength: 253 },
                  port: whole({ minimum: 1, maximum: 65_535 }),
                  protocol: { ...text, maxLength: 255 },
                  allowedRoutes: fields(
                    {
                      namespaces: fields(
                        { from: { ...text, enum: ['All', 'Same'], default: 'Same' } },
                        { default: { from: 'Same' } },
                      ),
                    },
                    { default: { namespaces: { from: 'Same' } } },
                  ),
                },
                { required: ['name', 'port', 'protocol'] },
              ),
              {
                ...keyed('name'),
                minItems: 1,
                maxItems: 64,
                'x-kubernetes-validations': [
                  {
                    rule: "self.all(l, l.protocol in ['TCP', 'UDP'] ? !has(l.hostname) || l.hostname == '' : true)",
                    message: 'hostname must not be specified for protocols TCP and UDP',
                  },
                  {
                    rule: 'self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol))',
                    messageExpression: "'combination of port and protocol must be unique: ' + self[0].name",
                  },
                ],
              },
            ),
          },
          { required: ['gatewayClassName', 'listeners'] },
        ),
      },
    ],
  ),
  instance: instance('gateways.example.com/v1', 'Gateway', {
    gatewayClassName: 'main',
    listeners: [{ name: 'http', port: 80, protocol: 'HTTP', hostname: 'web.example.com' }],
  }),
  filled: { 'spec.listeners.0.allowedRoutes.namespaces.from': 'Same' },
  refused: [
    [{ gatewayClassName: 'other' }, /spec\.gatewayClassName: Invalid value: "string": Value is immutable/],
    [
      { listeners: [{ name: 'a', port: 1, protocol: 'TCP', hostname: 'x' }] },
      /hostname must not be specified for protocols TCP and UDP/,
    ],
    [
      { listeners: ['a', 'b'].map(name => ({ name, port: 1, protocol: 'TCP' })) },
      /combination of port and protocol must be unique: a/,
    ],
    [{ listeners: [] }, /spec\.listeners in body should have at least 1 items/],
  ],
}

/** Whole objects inside objects, cluster scope, categories, two versions told apart by name. */
const compositions: ProjectDefinition = {
  definition: define(
    {
      group: 'compose.example.com',
      plural: 'compositions',
      kind: 'Composition',
      scope: 'Cluster',
      categories: ['composed'],
    },
    [
      {
        name: 'v1',
        spec: fields(
          {
            mode: { ...text, enum: ['Pipeline'], default: 'Pipeline' },
            compositeTypeRef: fields(
              { apiVersion: text, kind: text },
              {
                required: ['apiVersion', 'kind'],
                'x-kubernetes-validations': [{ message: 'Value is immutable', rule: 'self == oldSelf' }],
              },
            ),
            pipeline: list(
              fields(
                {
                  step: text,
                  functionRef: fields({ name: text }, { required: ['name'] }),
                  input: { ...open, 'x-kubernetes-embedded-resource': true },
                },
                { required: ['functionRef', 'step'] },
              ),
              { minItems: 1, maxItems: 99, ...keyed('step') },
            ),
          },
          { required: ['compositeTypeRef'] },
        ),
      },
      { name: 'v1beta1', spec: open, more: { deprecated: true } },
    ],
  ),
  instance: instance('compose.example.com/v1', 'Composition', {
    compositeTypeRef: { apiVersion: 'example.com/v1', kind: 'Database' },
    pipeline: [
      {
        step: 'render',
        functionRef: { name: 'templates' },
        input: {
          apiVersion: 'fn.example.com/v1',
          kind: 'Input',
          source: 'Inline',
          inline: { template: 'x' },
        },
      },
    ],
  }),
  filled: { 'spec.mode': 'Pipeline', 'spec.pipeline.0.input.inline.template': 'x' },
  refused: [
    [{ compositeTypeRef: { apiVersion: 'example.com/v1', kind: 'Other' } }, /Value is immutable/],
    [
      { pipeline: [{ step: 'a', functionRef: { name: 'f' }, input: { source: 'Inline' } }] },
      /spec\.pipeline\[0\]\.input\.apiVersion: Required value: must not be empty/,
    ],
  ],
}

export const PROJECT_DEFINITIONS: Readonly<Record<string, ProjectDefinition>> = {
  certificates,
  monitors,
  applications,
  routes,
  gateways,
  compositions,
}

/** As large as the largest definitions there are: the part of it that kubectl keeps in an annotation is too long. */
export function largeDefinition(bytes: number): Definition {
  let branches = 1
  for (;;) {
    const spec = fields(
      Object.fromEntries(Array.from({ length: branches }, (_, index) => [`part${index}`, deep(6, 9)])),
    )
    const made = define({ group: 'large.example.com', plural: 'platforms', kind: 'Platform' }, [
      { name: 'v1', spec },
    ])
    if (JSON.stringify(made).length >= bytes) return made
    branches++
  }
}
