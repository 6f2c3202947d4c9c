/** What a person does with kubectl on the first day, with the real kubectl against a daemon from the source tree. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { HELM, type Kubectl, kubectlFor, otherKubectl, run } from '../support/kubectl.ts'
import { sampleManifest } from '../support/sample.ts'
import { until } from '../support/until.ts'

/** The process runtime opens it on 127.0.0.1 too, where another run of the tests may have its own. */
const NODE_PORT = 30_000 + (process.pid % 2_500)

const fetchText = (url: string) =>
  new Promise<string>((resolve, reject) => {
    get(url, { agent: false, timeout: 60_000 }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => (text += chunk))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })

describe('everyday kubectl', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  before(async () => {
    cluster = await installCluster()
    kubectl = cluster.kubectl
  })
  after(() => cluster.remove())

  const jsonPath = (resource: readonly string[], path: string) =>
    kubectl.ok(['get', ...resource, '-o', `jsonpath=${path}`])

  test('the node is Ready and says what it is', async () => {
    const table = await kubectl.ok(['get', 'nodes', '-o', 'wide'])
    assert.match(table, /^NAME\s+STATUS\s+ROLES\s+AGE\s+VERSION\s+INTERNAL-IP/)
    assert.match(table, /node-1\s+Ready\s+\S+\s+\S+\s+v1\.36\.\d+\+mk8s/)
    assert.match(await kubectl.ok(['version']), /Server Version: v1\.36/)
    assert.match(await kubectl.ok(['cluster-info']), /Kubernetes control plane/)
  })

  test('discovery lists the stable API', async () => {
    const resources = await kubectl.ok(['api-resources', '--no-headers'])
    for (const name of [
      'pods',
      'deployments',
      'jobs',
      'ingresses',
      'storageclasses',
      'customresourcedefinitions',
    ]) {
      assert.match(resources, new RegExp(`^${name}\\s`, 'm'))
    }
    assert.match(await kubectl.ok(['api-versions']), /^apps\/v1$/m)
  })

  test('the sample serves through its Service', async () => {
    await kubectl.ok(['apply', '-f', '-'], { input: sampleManifest(NODE_PORT) })
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=120s'])
    await kubectl.ok(['wait', '--for=condition=Ready', 'pod', '-l', 'app=web', '--timeout=120s'])
    const answers = new Set<string>()
    await until('both pods have answered', async () => {
      answers.add(await fetchText(`http://${cluster.address}:${NODE_PORT}/`))
      return answers.size >= 2
    })
    for (const answer of answers) assert.match(answer, /^Hello from mk8s, pod web-/)
    const slices = await jsonPath(
      ['endpointslices', '-l', 'kubernetes.io/service-name=web'],
      '{.items[0].endpoints[*].conditions.ready}',
    )
    assert.equal(slices, 'true true')
  })

  test('logs show what the containers wrote', async () => {
    const pod = await jsonPath(['pods', '-l', 'app=web'], '{.items[0].metadata.name}')
    assert.match(await kubectl.ok(['logs', pod]), /^serving on 127\.\S+:8080/)
    assert.match(
      await kubectl.ok(['logs', 'deployment/web', '--tail=1', '--timestamps']),
      /^\d{4}-\d\d-\d\dT\S+Z serving/,
    )
  })

  test('applying again changes nothing, patches and edits change what they say', async () => {
    const again = await kubectl.ok(['apply', '-f', '-'], { input: sampleManifest(NODE_PORT) })
    assert.match(again, /deployment.apps\/web unchanged/)
    await kubectl.ok(['patch', 'deployment', 'web', '-p', '{"metadata":{"labels":{"tier":"front"}}}'])
    await kubectl.ok([
      'patch',
      'deployment',
      'web',
      '--type=merge',
      '-p',
      '{"metadata":{"labels":{"a":"b"}}}',
    ])
    await kubectl.ok([
      'patch',
      'deployment',
      'web',
      '--type=json',
      '-p',
      '[{"op":"remove","path":"/metadata/labels/a"}]',
    ])
    assert.equal(await jsonPath(['deployment', 'web'], '{.metadata.labels}'), '{"app":"web","tier":"front"}')
    await kubectl.ok(['label', 'deployment', 'web', 'tier-'])
    await kubectl.ok(['annotate', 'deployment', 'web', 'note=hello'])
    assert.equal(await jsonPath(['deployment', 'web'], '{.metadata.annotations.note}'), 'hello')
  })

  test('a rolling update replaces the pods, and undo brings the old ones back', async () => {
    const env = '{.spec.template.spec.containers[0].env[?(@.name=="COLOUR")].value}'
    await kubectl.ok(['set', 'env', 'deployment/web', 'COLOUR=blue'])
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=120s'])
    assert.equal(await jsonPath(['deployment', 'web'], env), 'blue')
    const sets = await jsonPath(['replicasets', '-l', 'app=web'], '{.items[*].spec.replicas}')
    assert.deepEqual(sets.split(' ').sort(), ['0', '2'])
    assert.match(await kubectl.ok(['rollout', 'history', 'deployment/web']), /REVISION[\s\S]*1[\s\S]*2/)
    await kubectl.ok(['rollout', 'undo', 'deployment/web'])
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=120s'])
    assert.equal(await jsonPath(['deployment', 'web'], env), '')
    await kubectl.ok(['rollout', 'restart', 'deployment/web'])
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=120s'])
  })

  test('scaling up and down is followed', async () => {
    await kubectl.ok(['scale', 'deployment/web', '--replicas=4'])
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=120s'])
    assert.match(await kubectl.ok(['get', 'deployment', 'web']), /web\s+4\/4\s+4\s+4/)
    await kubectl.ok(['scale', 'deployment/web', '--replicas=1'])
    await until('one pod is left', async () => {
      const names = await jsonPath(['pods', '-l', 'app=web'], '{.items[*].metadata.name}')
      return names.split(' ').length === 1
    })
  })

  test('a pod that ends is started again, with back-off, and one that must not is Completed', async () => {
    const pod = (name: string, policy: string, script: string) =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: {
          restartPolicy: policy,
          containers: [{ name: 'c', image: 'localhost/sh', command: ['/bin/sh', '-c', script] }],
        },
      })
    await kubectl.ok(['create', '-f', '-'], { input: pod('done', 'Never', 'echo finished; exit 0') })
    await kubectl.ok(['create', '-f', '-'], { input: pod('failing', 'Never', 'exit 3') })
    await kubectl.ok(['create', '-f', '-'], { input: pod('looping', 'Always', 'exit 1') })
    await until(
      'done has succeeded',
      async () => (await jsonPath(['pod', 'done'], '{.status.phase}')) === 'Succeeded',
    )
    assert.equal(await kubectl.ok(['logs', 'done']), 'finished\n')
    assert.match(await kubectl.ok(['get', 'pod', 'done']), /done\s+0\/1\s+Completed\s+0/)
    await until(
      'failing has failed',
      async () => (await jsonPath(['pod', 'failing'], '{.status.phase}')) === 'Failed',
    )
    const terminated =
      '{.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.reason}'
    assert.equal(await jsonPath(['pod', 'failing'], terminated), '3 Error')
    const waiting = '{.status.containerStatuses[0].state.waiting.reason}'
    await until(
      'looping backs off',
      async () => (await jsonPath(['pod', 'looping'], waiting)) === 'CrashLoopBackOff',
    )
    await kubectl.ok(['delete', 'pod', 'done', 'failing', 'looping', '--wait=true', '--timeout=120s'])
  })

  test('a Secret and a ConfigMap reach a container as variables and files', async () => {
    await kubectl.ok(['create', 'secret', 'generic', 'keys', '--from-literal=password=s3cret'])
    await kubectl.ok(['create', 'configmap', 'settings', '--from-literal=colour=green'])
    const spec = {
      restartPolicy: 'Never',
      containers: [
        {
          name: 'c',
          image: 'localhost/sh',
          command: [
            '/bin/sh',
            '-c',
            'echo $PASSWORD $colour; cat /etc/keys/password; ls /var/run/secrets/kubernetes.io/serviceaccount',
          ],
          env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'keys', key: 'password' } } }],
          envFrom: [{ configMapRef: { name: 'settings' } }],
          volumeMounts: [{ name: 'keys', mountPath: '/etc/keys' }],
        },
      ],
      volumes: [{ name: 'keys', secret: { secretName: 'keys' } }],
    }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'reader' }, spec }
    await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
    await until('reader has ended', async () =>
      /Succeeded|Failed/.test(await jsonPath(['pod', 'reader'], '{.status.phase}')),
    )
    assert.equal(await kubectl.ok(['logs', 'reader']), 's3cret green\ns3cretca.crt\nnamespace\ntoken\n')
  })

  test('a pod that fits nowhere stays Pending and says why', async () => {
    const spec = {
      containers: [{ name: 'c', image: 'i', command: ['true'], resources: { requests: { cpu: '4000' } } }],
    }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'huge' }, spec }
    await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
    const message = '{.status.conditions[?(@.type=="PodScheduled")].message}'
    const said = await until(
      'the scheduler says why',
      async () => (await jsonPath(['pod', 'huge'], message)) || null,
    )
    assert.match(said, /0\/1 nodes are available: 1 Insufficient cpu/)
    assert.match(await kubectl.ok(['describe', 'pod', 'huge']), /FailedScheduling/)
    await kubectl.ok(['delete', 'pod', 'huge'])
  })

  test('list, watch, selectors and pages agree', async () => {
    for (const name of ['one', 'two', 'three']) {
      await kubectl.ok(['create', 'configmap', name, '--from-literal=a=b'])
      await kubectl.ok(['label', 'configmap', name, `set=${name === 'three' ? 'odd' : 'even'}`, 'page=yes'])
    }
    const names = (args: readonly string[]) => kubectl.ok(['get', 'configmaps', '-o', 'name', ...args])
    assert.equal(await names(['-l', 'set=even']), 'configmap/one\nconfigmap/two\n')
    assert.equal(await names(['-l', 'set notin (even),page']), 'configmap/three\n')
    assert.equal(await names(['-l', 'page=yes', '--chunk-size=1']), await names(['-l', 'page=yes']))
    assert.equal(await names(['--field-selector', 'metadata.name=two']), 'configmap/two\n')
  })

  test('deleting a namespace deletes what is in it', async () => {
    await kubectl.ok(['create', 'namespace', 'scratch'])
    await until('the default service account is there', async () => {
      return (await kubectl.try(['get', 'serviceaccount', 'default', '-n', 'scratch'])).code === 0
    })
    await kubectl.ok([
      'create',
      'deployment',
      'idle',
      '-n',
      'scratch',
      '--image=localhost/sleep',
      '--',
      'sleep',
      '600',
    ])
    await kubectl.ok(['rollout', 'status', 'deployment/idle', '-n', 'scratch', '--timeout=120s'])
    await kubectl.ok(['delete', 'namespace', 'scratch', '--timeout=120s'])
    assert.equal((await kubectl.try(['get', 'namespace', 'scratch'])).code, 1)
  })

  test('deleting a deployment deletes its replica sets and pods', async () => {
    await kubectl.ok(['delete', 'deployment', 'web'])
    await until('nothing is left', async () => {
      return (await kubectl.ok(['get', 'replicasets,pods', '-l', 'app=web', '-o', 'name'])) === ''
    })
  })

  test('explain, auth can-i and dry-run answer', async () => {
    assert.match(await kubectl.ok(['explain', 'pod.spec.containers']), /FIELDS:/)
    assert.equal((await kubectl.ok(['auth', 'can-i', 'create', 'pods'])).trim(), 'yes')
    const denied = await kubectl.try(['auth', 'can-i', 'create', 'pods', '--as=someone'])
    assert.equal(denied.stdout.trim(), 'no')
    await kubectl.ok(['create', 'configmap', 'ghost', '--dry-run=server'])
    assert.equal((await kubectl.try(['get', 'configmap', 'ghost'])).code, 1)
  })

  test('helm installs a chart and removes it', async () => {
    const directory = join(cluster.dataDir, '..', 'chart')
    const created = await run(HELM, ['create', directory])
    assert.equal(created.code, 0, created.stderr)
    writeFileSync(join(directory, 'values-test.yaml'), 'replicaCount: 0\n')
    const env = {
      KUBECONFIG: cluster.kubeconfig,
      HELM_CACHE_HOME: `${directory}.cache`,
      HELM_CONFIG_HOME: `${directory}.config`,
    }
    const installed = await run(
      HELM,
      ['install', 'demo', directory, '-f', join(directory, 'values-test.yaml')],
      { env },
    )
    assert.equal(installed.code, 0, installed.stderr)
    assert.match(await kubectl.ok(['get', 'deployments']), /demo-chart/)
    const removed = await run(HELM, ['uninstall', 'demo', '--wait'], { env })
    assert.equal(removed.code, 0, removed.stderr)
  })

  test('another version of kubectl works as well', async context => {
    const program = otherKubectl()
    if (program === null) return context.skip('no other kubectl on PATH')
    const other = kubectlFor(cluster.kubeconfig, program)
    await other.ok(['apply', '-f', '-'], { input: sampleManifest(NODE_PORT) })
    await other.ok(['rollout', 'status', 'deployment/web', '--timeout=120s'])
    assert.match(await other.ok(['get', 'pods', '-l', 'app=web']), /1\/1\s+Running/)
    await other.ok(['delete', '-f', '-'], { input: sampleManifest(NODE_PORT) })
  })
})
