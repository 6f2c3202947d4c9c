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
const TOLERATIONS = {
  apiVersion: 'podtolerationrestriction.admission.k8s.io/v1alpha1',
  kind: 'Configuration',
}
const EVENTS = { apiVersion: 'eventratelimit.admission.k8s.io/v1alpha1', kind: 'Configuration' }

test('limits of events name their type, and how much', () => {
  const limits = [
    { type: 'Server', qps: 50, burst: 100, cacheSize: -1 },
    { type: 'User', qps: 0, burst: 1, cacheSize: -1 },
    { type: 'Node' },
  ]
  const good = parse([{ name: 'EventRateLimit', configuration: { ...EVENTS, limits: limits.slice(0, 1) } }])
  assert.deepEqual(good.eventLimits?.[0]?.burst, 100)
  const why = (...wrong: object[]) => {
    try {
      parse([{ name: 'EventRateLimit', configuration: { ...EVENTS, limits: wrong } }])
    } catch (error) {
      return (error as Mk8sError).why?.split('\n').map(line => line.replace('plugins[0].', ''))
    }
    return []
  }
  assert.deepEqual(why(), ['limits: Invalid value: null: must not be empty'])
  assert.deepEqual(why(...limits.slice(1)), [
    'limits[0].cacheSize: Invalid value: -1: must not be negative',
    'limits[0].qps: Invalid value: 0: must be positive',
    'limits[1].type: Unsupported value: "Node": supported values: "Namespace", "Server", "SourceAndObject", "User"',
    'limits[1].burst: Invalid value: 0: must be positive',
    'limits[1].qps: Invalid value: 0: must be positive',
  ])
})

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
    { name: 'LimitRanger', configuration: {} },
    { name: 'ImagePolicyWebhook', configuration: { imagePolicy: { allowTTL: 7200 } } },
    { name: 'PodNodeSelector', configuration: { podNodeSelectorPluginConfig: { dev: 'a' } } },
    {
      name: 'PodTolerationRestriction',
      configuration: { ...TOLERATIONS, whitelist: [{ operator: 'Equal', effect: 'Never' }] },
    },
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
        'plugins[2].configuration: it is not a Configuration of eventratelimit.admission.k8s.io/v1alpha1',
        'plugins[3].name: Unsupported value: "LimitRanger"',
        'plugins[4].imagePolicy.kubeConfigFile: Required value',
        'plugins[4].imagePolicy.allowTTL: valid value is between 1000ms and 1800000ms, got 7200',
        'plugins[5].podNodeSelectorPluginConfig.dev: invalid selector: a',
        'plugins[6].whitelist[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty',
        'plugins[6].whitelist[0].effect: Invalid value: "Never"',
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
