/** PodSecurity: refusals, warnings and audit annotations by the labels of namespaces. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { JsonMap } from '../../../../../src/kube/json-map.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import type { StatusError } from '../../../../../src/kube/status.ts'
import type { PodSpec } from '../../../../../src/kube/types.ts'
import { podSecurity } from '../../../../../src/runtime/apiserver/admission/pod-security.ts'
import { podViolations } from '../../../../../src/runtime/apiserver/admission/pod-security-checks.ts'
import {
  type PodSecuritySettings,
  readPodSecurity,
} from '../../../../../src/runtime/apiserver/admission/pod-security-configuration.ts'
import type { AdmissionRequest } from '../../../../../src/runtime/apiserver/ports.ts'

const PREFIX = 'pod-security.kubernetes.io/'
type Labels = Readonly<Record<string, string>>

const labelled = (labels: Labels): KubeObject => ({
  ...{ apiVersion: 'v1', kind: 'Namespace' },
  metadata: {
    name: 'dev',
    labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [PREFIX + key, value])),
  },
})

const podOf = (name: string, spec: object): KubeObject => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'dev' } },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
})

interface Asked {
  readonly labels?: Labels
  readonly pods?: readonly KubeObject[]
  readonly resource: string
  readonly group?: string
  readonly object: KubeObject
  readonly oldObject?: KubeObject
  readonly settings?: PodSecuritySettings
}

/** What is warned of, written to the audit log, and answered. */
function ask({ labels = {}, pods = [], resource, group = '', object, oldObject, settings }: Asked) {
  const warnings: string[] = []
  const annotations: Record<string, string> = {}
  const plugin = podSecurity({ get: () => labelled(labels), list: () => pods }, settings)
  const request = {
    operation: oldObject === undefined ? 'CREATE' : 'UPDATE',
    resource: { group, resource },
    user: { username: 'ann', groups: [] },
    ...{ subresource: '', namespace: 'dev', name: object.metadata.name, object },
    oldObject: oldObject ?? null,
    warn: (text: string) => warnings.push(text),
    annotate: (key: string, value: string) => {
      annotations[key.replace(PREFIX, '')] = value
    },
  } as unknown as AdmissionRequest
  try {
    plugin.validate?.(request)
    return { message: '', code: 200, warnings, annotations }
  } catch (error) {
    const { status } = error as StatusError
    return { message: status.message ?? '', code: status.code, warnings, annotations }
  }
}

const HOST = podOf('p', { hostNetwork: true })
const HOST_TEXT = 'host namespaces (hostNetwork=true)'

test('a pod is refused, warned of and written down by three levels', () => {
  const labels = { audit: 'baseline', 'audit-version': 'v1.30', warn: 'baseline' }
  const let_in = ask({ labels, resource: 'pods', object: HOST })
  assert.equal(let_in.code, 200)
  assert.deepEqual(let_in.warnings, [`would violate PodSecurity "baseline:latest": ${HOST_TEXT}`])
  assert.deepEqual(let_in.annotations, {
    'enforce-policy': 'privileged:latest',
    'audit-violations': `would violate PodSecurity "baseline:v1.30": ${HOST_TEXT}`,
  })
  const refused = ask({ labels: { ...labels, enforce: 'baseline' }, resource: 'pods', object: HOST })
  assert.equal(refused.message, `pods "p" is forbidden: violates PodSecurity "baseline:latest": ${HOST_TEXT}`)
  assert.deepEqual(refused.warnings, [])
  assert.equal(refused.annotations['enforce-policy'], 'baseline:latest')
})

test('the audit log is told which policy a pod was judged by, also when it asks for nothing', () => {
  const { annotations } = ask({ resource: 'pods', object: HOST })
  assert.deepEqual(annotations, { 'enforce-policy': 'privileged:latest' })
})

test('what makes pods is warned of, not refused; who is enforced upon is warned', () => {
  const object = {
    ...{ apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: 'cron' } },
    spec: { jobTemplate: { spec: { template: { spec: HOST['spec'] } } } },
  } as unknown as KubeObject
  const cron = { group: 'batch', resource: 'cronjobs', object }
  const { code, warnings } = ask({ ...cron, labels: { enforce: 'baseline', 'enforce-version': 'v1.30' } })
  assert.deepEqual([code, ...warnings], [200, `would violate PodSecurity "baseline:v1.30": ${HOST_TEXT}`])
  assert.deepEqual(ask({ ...cron, labels: { enforce: 'baseline', warn: 'privileged' } }).warnings, [])
})

test('an update of a pod counts when it brings another image', () => {
  const labels = { enforce: 'baseline' }
  const changed = (containers: object[]) => podOf('p', { hostNetwork: true, containers })
  const update = (object: KubeObject) => ask({ labels, resource: 'pods', object, oldObject: HOST })
  assert.equal(update(changed([{ name: 'c', image: 'i', resources: {} }])).code, 200)
  assert.equal(update(changed([{ name: 'c', image: 'j' }])).code, 403)
})

test('labels of a namespace have to be levels and versions, once they change', () => {
  const object = labelled({ enforce: 'strict', 'warn-version': '1.30' })
  const { message, code } = ask({ resource: 'namespaces', object })
  assert.equal(code, 422)
  assert.equal(
    message,
    `Namespace "dev" is invalid: [metadata.labels[${PREFIX}enforce]: Invalid value: "strict": must be one of ` +
      `privileged, baseline, restricted, metadata.labels[${PREFIX}warn-version]: Invalid value: "1.30": ` +
      'must be "latest" or "v1.x"]',
  )
  assert.equal(ask({ resource: 'namespaces', object, oldObject: object }).code, 200)
})

test('a namespace that becomes stricter is told which of its pods would not be let in', () => {
  const pods = [podOf('b', { hostNetwork: true }), podOf('a', { hostPID: true }), podOf('fine', {})]
  const update = (next: Labels, before: Labels) =>
    ask({ resource: 'namespaces', object: labelled(next), oldObject: labelled(before), pods }).warnings
  assert.deepEqual(update({ enforce: 'baseline' }, {}), [
    'existing pods in namespace "dev" violate the new PodSecurity enforce level "baseline:latest"',
    'a (and 1 other pod): host namespaces',
  ])
  assert.deepEqual(update({ enforce: 'baseline' }, { enforce: 'restricted' }), [])
})

test('a configuration says what counts without labels, and whom it spares', () => {
  const settingsOf = (fields: object) => readPodSecurity(fields as JsonMap, [])
  const defaults = { enforce: 'baseline', warn: 'restricted', 'enforce-version': 'v1.30' }
  const pod = { resource: 'pods', object: HOST }
  const strict = ask({ ...pod, settings: settingsOf({ defaults }) })
  assert.equal(strict.message, `pods "p" is forbidden: violates PodSecurity "baseline:v1.30": ${HOST_TEXT}`)
  const own = ask({ ...pod, labels: { enforce: 'privileged' }, settings: settingsOf({ defaults }) })
  assert.equal(own.code, 200)
  assert.match(own.warnings[0] ?? '', /^would violate PodSecurity "restricted:latest"/)
  const classed = podOf('p', { hostNetwork: true, runtimeClassName: 'gvisor' })
  for (const [exemptions, by, object] of [
    [{ namespaces: ['dev'] }, 'namespace', HOST],
    [{ usernames: ['ann'] }, 'user', HOST],
    [{ runtimeClasses: ['gvisor'] }, 'runtimeClass', classed],
  ] as const) {
    const spared = ask({ ...pod, object, settings: settingsOf({ defaults, exemptions }) })
    assert.deepEqual([spared.code, spared.warnings, spared.annotations], [200, [], { exempt: by }])
  }
  const exempt = settingsOf({ defaults, exemptions: { namespaces: ['dev'] } })
  const labels = { enforce: 'restricted', audit: 'baseline' }
  const { warnings } = ask({ resource: 'namespaces', object: labelled(labels), settings: exempt })
  assert.deepEqual(warnings, [
    'namespace "dev" is exempt from Pod Security, and the policy ' +
      '(enforce=restricted:v1.30, audit=baseline:latest, warn=restricted:latest) will be ignored',
  ])
})

test("rules are told in upstream's order and hold from their version on", () => {
  const spec = {
    hostNetwork: true,
    securityContext: { runAsNonRoot: false, sysctls: [{ name: 'net.ipv4.tcp_rmem', value: '1' }] },
    containers: [
      {
        ...{ name: 'c', image: 'i', ports: [{ containerPort: 1, hostPort: 1 }] },
        livenessProbe: { httpGet: { host: 'h', port: 1 } },
        securityContext: { privileged: true, runAsNonRoot: false },
      },
    ],
  } as unknown as PodSpec
  const reasons = (level: 'baseline' | 'restricted', minor?: number) =>
    podViolations(level, spec, minor).map(({ reason }) => reason)
  assert.deepEqual(reasons('restricted'), [
    ...['host namespaces', 'hostPort', 'probe or lifecycle host', 'privileged'],
    ...[
      'allowPrivilegeEscalation != false',
      'unrestricted capabilities',
      'runAsNonRoot != true',
      'seccompProfile',
    ],
  ])
  assert.deepEqual(reasons('baseline', 30), [
    'host namespaces',
    'hostPort',
    'privileged',
    'forbidden sysctls',
  ])
  const details = podViolations('restricted', spec).map(({ detail }) => detail)
  assert.ok(details.includes('pod and container "c" must not set securityContext.runAsNonRoot=false'))
  assert.ok(details.includes('container "c" uses probe or lifecycle host "h"'))
  const own = { ...spec, hostUsers: false }
  assert.ok(!podViolations('restricted', own).some(({ reason }) => reason === 'runAsNonRoot != true'))
})
