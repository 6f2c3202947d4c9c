/** An AdmissionConfiguration: what it changes, and what is refused. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Mk8sError } from '../../../../../src/base/errors.ts'
import type { ResourceQuota } from '../../../../../src/kube/types.ts'
import { parseAdmission } from '../../../../../src/runtime/apiserver/admission/admission-configuration.ts'
import { limitProblem } from '../../../../../src/runtime/apiserver/requests/limited-resources.ts'

const parse = (plugins: readonly object[], files: Readonly<Record<string, string>> = {}) =>
  parseAdmission(
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration', plugins }),
    '/etc/mk8s/admission.yaml',
    path => files[path] ?? '',
  )

const POD_SECURITY = {
  apiVersion: 'pod-security.admission.config.k8s.io/v1',
  kind: 'PodSecurityConfiguration',
}
const QUOTA = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'ResourceQuotaConfiguration' }

test('a plugin is configured in place, or by a file beside the configuration', () => {
  const inline = { ...POD_SECURITY, defaults: { enforce: 'baseline', 'warn-version': 'v1.30' } }
  const { podSecurity } = parse([{ name: 'PodSecurity', configuration: inline }])
  assert.deepEqual(podSecurity.defaults, {
    enforce: { level: 'baseline', version: 'latest' },
    audit: { level: 'privileged', version: 'latest' },
    warn: { level: 'privileged', version: 'v1.30' },
  })
  const named = { ...POD_SECURITY, exemptions: { namespaces: ['kube-system'] } }
  const files = { '/etc/mk8s/pods.yaml': JSON.stringify(named) }
  const exempt = parse([{ name: 'PodSecurity', path: 'pods.yaml' }], files).podSecurity.exemptions
  assert.deepEqual([...exempt.namespaces], ['kube-system'])
})

test('what cannot be used is refused, all of it at once', () => {
  const pods = {
    ...POD_SECURITY,
    defaults: { enforce: 'strict', 'audit-version': '1.2' },
    exemptions: { namespaces: ['a', 'a', 'B'], usernames: [''] },
  }
  const plugins = [
    { name: 'PodSecurity', configuration: pods },
    { name: 'ResourceQuota', configuration: { ...QUOTA, limitedResources: [{ matchScopes: [{}] }] } },
    { name: 'EventRateLimit' },
  ]
  assert.throws(
    () => parse(plugins),
    (error: Mk8sError) => {
      for (const part of [
        'plugins[0].defaults.enforce: Invalid value: "strict": must be one of',
        'plugins[0].defaults.audit-version: Invalid value: "1.2"',
        'plugins[0].exemptions.namespaces[1]: Duplicate value: "a"',
        'plugins[0].exemptions.namespaces[2]: Invalid value: "B"',
        'plugins[0].exemptions.usernames[0]: Invalid value: "": username must not be empty',
        'plugins[1].configuration.limitedResources[0].resource: Required value',
        'plugins[1].configuration.limitedResources[0].matchScopes[0].scopeName: Required value',
        'plugins[2].name: Unsupported value: "EventRateLimit"',
      ])
        assert.ok(error.why?.includes(part), `${part} in ${error.why}`)
      return true
    },
  )
})

test('what is limited needs a quota that counts it', () => {
  const scope = { scopeName: 'PriorityClass', operator: 'In', values: ['cluster-services'] }
  const { limitedResources } = parse([
    {
      name: 'ResourceQuota',
      configuration: {
        ...QUOTA,
        limitedResources: [
          { resource: 'pods', matchScopes: [scope] },
          { resource: 'persistentvolumeclaims', matchContains: ['.storageclass.'] },
        ],
      },
    },
  ])
  const pods = { group: '', resource: 'pods' }
  const pod = (priorityClassName: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } },
    spec: { priorityClassName, containers: [] },
  })
  const quota = (spec: object, hard: object): ResourceQuota =>
    ({ metadata: { name: 'q' }, spec, status: { hard } }) as unknown as ResourceQuota
  const ofScope = quota({ scopeSelector: { matchExpressions: [scope] } }, { pods: '5' })
  const problem = 'insufficient quota to match these scopes: [{PriorityClass In [cluster-services]}]'
  assert.equal(limitProblem(limitedResources, [], pods, pod('cluster-services')), problem)
  assert.equal(
    limitProblem(limitedResources, [quota({}, { pods: '5' })], pods, pod('cluster-services')),
    problem,
  )
  assert.equal(limitProblem(limitedResources, [ofScope], pods, pod('cluster-services')), null)
  assert.equal(limitProblem(limitedResources, [], pods, pod('other')), null)
  const claims = { group: '', resource: 'persistentvolumeclaims' }
  const claim = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'c' } },
    spec: { storageClassName: 'gold', resources: { requests: { storage: '1Gi' } } },
  }
  const gold = 'gold.storageclass.storage.k8s.io'
  assert.equal(
    limitProblem(limitedResources, [quota({}, { [`${gold}/requests.storage`]: '5Gi' })], claims, claim),
    `insufficient quota to consume: ${gold}/persistentvolumeclaims`,
  )
})
