/** Options of the API server: a daemon with an audit policy, structured configurations and chosen plugins. */
import assert from 'node:assert/strict'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { apiFor } from '../support/api.ts'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { until } from '../support/until.ts'

let cluster: TestCluster
const directory = temporaryDirectory()

const write = (name: string, value: object) => {
  writeFileSync(join(directory, name), JSON.stringify(value))
  return join(directory, name)
}

const authenticationFor = (path: string) => ({
  apiVersion: 'apiserver.config.k8s.io/v1',
  kind: 'AuthenticationConfiguration',
  anonymous: { enabled: true, conditions: [{ path }] },
})

before(async () => {
  const resources = [{ group: '', resources: ['configmaps'] }]
  const rules = [{ level: 'RequestResponse', resources, verbs: ['create'] }]
  const policy = write('policy.yaml', { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules })
  const authentication = write('authentication.yaml', authenticationFor('/livez'))
  const kind = 'PodSecurityConfiguration'
  const podSecurity = {
    ...{ apiVersion: 'pod-security.admission.config.k8s.io/v1', kind },
    defaults: { enforce: 'baseline' },
    exemptions: { namespaces: ['kube-system'] },
  }
  write('pods.yaml', podSecurity)
  const scope = { scopeName: 'PriorityClass', operator: 'In', values: ['system-node-critical'] }
  const limited = {
    ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'ResourceQuotaConfiguration' },
    limitedResources: [{ resource: 'pods', matchScopes: [scope] }],
  }
  const admission = write('admission.yaml', {
    ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration' },
    plugins: [
      { name: 'PodSecurity', path: 'pods.yaml' },
      { name: 'ResourceQuota', configuration: limited },
      {
        name: 'PodNodeSelector',
        configuration: { podNodeSelectorPluginConfig: { clusterDefaultNodeSelector: 'env=test' } },
      },
    ],
  })
  const args = ['--audit-policy-file', policy, '--authentication-config', authentication]
  args.push('--admission-control-config-file', admission)
  args.push('--enable-admission-plugins', 'AlwaysPullImages,PodNodeSelector,NamespaceAutoProvision')
  args.push('--disable-admission-plugins', 'DefaultTolerationSeconds')
  cluster = await installCluster({ args })
})
after(async () => {
  await cluster?.remove()
  rmSync(directory, { recursive: true, force: true })
})

test('what the policy names is in the audit log, for its owner only', async () => {
  await cluster.kubectl.ok(['create', 'configmap', 'audited', '--from-literal=a=1'])
  const path = join(cluster.dataDir, 'audit/audit.log')
  const event = await until('the event', () =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line))
      .find(({ stage, objectRef }) => stage === 'ResponseComplete' && objectRef.name === 'audited'),
  )
  assert.deepEqual([event.user.username, event.responseObject.data], ['kubernetes-admin', { a: '1' }])
  assert.equal(event.sourceIPs[0].startsWith('127.'), true)
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('nobody without credentials gets to more than is open', async () => {
  const api = apiFor(cluster.kubeconfig)
  const anonymous = true
  const paths = ['/livez', '/version']
  const answers = await Promise.all(paths.map(path => api(path, { anonymous })))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 401],
  )
  const statusOf = async (path: string) => (await api(path, { anonymous })).status
  write('authentication.yaml', { kind: 'Nothing' })
  const problem = await until('the problem', async () =>
    (await cluster.mk8s(['status', '--format', 'json'])).stdout.includes('ReloadFailed'),
  )
  assert.equal(problem, true)
  assert.equal(await statusOf('/livez'), 200)
  write('authentication.yaml', authenticationFor('/version'))
  await until('that the other path is open', async () => (await statusOf('/version')) === 200)
  assert.equal(await statusOf('/livez'), 401)
  const metrics = await cluster.kubectl.ok(['get', '--raw', '/metrics'])
  assert.match(
    metrics,
    /apiserver_authentication_config_controller_automatic_reloads_total\{[^}]*status="success"\} 1/,
  )
})

test('pods are judged as the AdmissionConfiguration says', async () => {
  const apply = async (namespace: string, spec: object) => {
    const metadata = { name: 'judged', namespace }
    const containers = [{ name: 'c', image: 'i' }]
    const input = JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata },
      spec: { containers, ...spec },
    })
    return (await cluster.kubectl.try(['create', '--dry-run=server', '-f', '-'], { input })).stderr
  }
  assert.match(await apply('default', { hostNetwork: true }), /violates PodSecurity "baseline:latest"/)
  assert.equal(await apply('kube-system', { hostNetwork: true }), '')
  assert.match(
    await apply('default', { priorityClassName: 'system-node-critical' }),
    /insufficient quota to match these scopes: \[\{PriorityClass In \[system-node-critical\]\}\]/,
  )
})

test('plugins are on and off as the options say', async () => {
  const wrong = await cluster.mk8s(['install', '--enable-admission-plugins', 'AlwaysPull'])
  assert.match(wrong.stderr, /plugin "AlwaysPull" is unknown.*known: .*AlwaysPullImages/s)
  const containers = [{ name: 'c', image: 'i', imagePullPolicy: 'Never' }]
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'plain' }, spec: { containers } }
  const args = ['create', '--dry-run=server', '-o', 'json', '-f', '-']
  const { spec } = JSON.parse(await cluster.kubectl.ok(args, { input: JSON.stringify(pod) }))
  assert.deepEqual(
    [spec.containers[0].imagePullPolicy, spec.nodeSelector, spec.tolerations],
    ['Always', { env: 'test' }, undefined],
  )
  await cluster.kubectl.ok(['create', 'configmap', 'first', '-n', 'made-by-it', '--from-literal=a=1'])
  const namespace = JSON.parse(await cluster.kubectl.ok(['get', 'namespace', 'made-by-it', '-o', 'json']))
  assert.equal(namespace.status.phase, 'Active')
})

test('monitoring finds health checks and watches, and the server its Lease', async () => {
  const { kubectl } = cluster
  await kubectl.ok(['get', '--raw', '/readyz'])
  const slis = await kubectl.ok(['get', '--raw', '/metrics/slis'])
  assert.match(slis, /^kubernetes_healthcheck\{name="ping",type="readyz"\} 1$/m)
  assert.match(slis, /^kubernetes_healthchecks_total\{name="ping",status="success",type="readyz"\} \d+$/m)
  const metrics = await kubectl.ok(['get', '--raw', '/metrics'])
  assert.match(
    metrics,
    /^apiserver_longrunning_requests\{[^}]*resource="pods"[^}]*verb="WATCH"[^}]*\} [1-9]/m,
  )
  const [node = ''] = (await kubectl.ok(['get', 'nodes', '-o', 'name'])).trim().split('\n')
  const proxy = `/api/v1/nodes/${node.replace('node/', '')}/proxy`
  await kubectl.ok(['get', '--raw', `${proxy}/healthz`])
  const ofKubelet = await kubectl.ok(['get', '--raw', `${proxy}/metrics/slis`])
  assert.match(ofKubelet, /^kubernetes_healthcheck\{name="syncloop",type="healthz"\} 1$/m)
  const label = 'apiserver.kubernetes.io/identity=kube-apiserver'
  const leases = await kubectl.ok(['get', 'leases', '-n', 'kube-system', '-l', label, '-o', 'name'])
  assert.match(leases, /^lease\.coordination\.k8s\.io\/apiserver-[a-z2-7]{26}$/m)
})
