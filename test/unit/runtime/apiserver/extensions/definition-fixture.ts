/** A definition of crontabs, established as the leader's controller would, and what a test does with its instances. */
import type { Reply, Server } from '../harness.ts'

export const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

export const cronSchema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['cronSpec'],
      properties: {
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
        image: { type: 'string', default: 'sample/cron:1' },
        replicas: { type: 'integer', minimum: 1, maximum: 10 },
        ports: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, port: { type: 'integer' } },
          },
        },
      },
    },
    status: {
      type: 'object',
      properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' } },
    },
  },
}

export const cronVersion = (name: string, over: object = {}): Record<string, unknown> => ({
  name,
  served: true,
  storage: true,
  schema: { openAPIV3Schema: cronSchema },
  subresources: {
    status: {},
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.labelSelector',
    },
  },
  ...over,
})

export const cronDefinition = (spec: object = {}): Record<string, unknown> => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'crontabs.stable.example.com' },
  spec: {
    group: 'stable.example.com',
    scope: 'Namespaced',
    names: { plural: 'crontabs', singular: 'crontab', kind: 'CronTab', shortNames: ['ct'] },
    versions: [cronVersion('v1')],
    ...spec,
  },
})

// biome-ignore lint/suspicious/noExplicitAny: replies are looked into freely
export async function define(server: Server, definition: any = cronDefinition()): Promise<Reply> {
  const made = await server.call('POST', DEFINITIONS, definition)
  if (made.status !== 201) throw new Error(JSON.stringify(made.body))
  return establish(server, definition.metadata.name)
}

export async function establish(server: Server, name: string): Promise<Reply> {
  const { body } = await server.call('GET', `${DEFINITIONS}/${name}`)
  const conditions = [{ type: 'Established', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }]
  const status = { ...body.status, acceptedNames: body.spec.names, conditions }
  return server.call('PUT', `${DEFINITIONS}/${name}/status`, { ...body, status })
}

export const CRONTABS = '/apis/stable.example.com/v1/namespaces/default/crontabs'

export const cronTab = (name: string, spec: object = {}): Record<string, unknown> => ({
  apiVersion: 'stable.example.com/v1',
  kind: 'CronTab',
  metadata: { name },
  spec: { cronSpec: '* * * * */5', ...spec },
})
