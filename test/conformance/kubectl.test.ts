/** What Kubernetes' conformance asks of kubectl. Programs of this machine stand in for images, which nobody can pull. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { get } from 'node:http'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import {
  at,
  itemsOf,
  type Namespace,
  named,
  nameOf,
  type Suite,
  startSuite,
  waiting,
} from '../support/conformance.ts'
import { KUBECTL } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

/** Serves a text at `/data.json`, or what the guest book's primary keeps: `/set?value=`, `/get`. */
const SERVER = `
const { createServer, get } = require('node:http')
const { POD_IP, PORT, TEXT, PRIMARY_SERVICE_HOST, ROLE } = process.env
let kept = ''
const answer = (request, response) => {
  const url = new URL(request.url, 'http://pod')
  response.setHeader('connection', 'close')
  if (ROLE === 'frontend') {
    get('http://' + PRIMARY_SERVICE_HOST + ':6379' + request.url, { agent: false }, inner => inner.pipe(response))
      .on('error', error => response.writeHead(502).end(String(error)))
  } else if (url.pathname === '/set') response.end(JSON.stringify({ ok: (kept = url.searchParams.get('value')) }))
  else if (url.pathname === '/get') response.end(JSON.stringify({ data: kept }))
  else response.end(TEXT)
}
createServer(answer).listen(Number(PORT), POD_IP)
process.on('SIGTERM', () => process.exit(0))
`

/** A pod spec with that server. */
const serving = (port: number, env: Readonly<Record<string, string>> = {}) => ({
  terminationGracePeriodSeconds: 1,
  containers: [
    {
      name: 'server',
      image: 'localhost/server',
      command: [process.execPath, '-e', SERVER],
      ports: [{ name: 'server', containerPort: port }],
      env: [
        { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        ...Object.entries({ PORT: String(port), ...env }).map(([name, value]) => ({ name, value })),
      ],
      readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
    },
  ],
})

const primaryLabels = { app: 'agnhost', role: 'primary' }
const primary = () => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name: 'agnhost-primary', labels: primaryLabels },
  spec: {
    replicas: 1,
    selector: primaryLabels,
    template: { metadata: { labels: primaryLabels }, spec: serving(6379) },
  },
})

const service = (name: string, selector: Readonly<Record<string, string>>, port: number) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, labels: selector },
  spec: { selector, ports: [{ port, targetPort: 'server' }] },
})

describe('Kubectl client', () => {
  let suite: Suite
  let home: Namespace
  before(async () => {
    suite = await startSuite()
    home = await suite.namespace('kubectl')
  })
  after(() => suite?.cluster.remove())

  const kubectl = (...args: string[]) => suite.kubectl.ok(['-n', home.name, ...args])
  const fed = (args: readonly string[], ...objects: object[]) =>
    suite.kubectl.ok(['-n', home.name, ...args, '-f', '-'], {
      input: objects.map(one => JSON.stringify(one)).join('\n---\n'),
    })
  const podsOf = async (selector: string) =>
    itemsOf(await suite.ok('GET', `${home.core('pods')}?labelSelector=${encodeURIComponent(selector)}`))
  const running = (selector: string, count: number) =>
    until(`${count} pods of ${selector} run`, async () => {
      const pods = await podsOf(selector)
      const ready = pods.filter(pod => at(pod, 'status.containerStatuses.0.ready') === true)
      return pods.length === count && ready.length === count && pods
    })
  const sleeper = (name: string, labels: Readonly<Record<string, string>> = { name }) => ({
    ...named('v1', 'Pod', name),
    metadata: { name, labels },
    spec: waiting({}).spec,
  })
  const imageOf = async (pod: string) =>
    at(await suite.ok('GET', `${home.core('pods')}/${pod}`), 'spec.containers.0.image')

  /** Whatever this test made. */
  const cleaned = async (kinds: string, selector: string) => {
    await kubectl('delete', kinds, '-l', selector, '--grace-period=0', '--force', '--wait=false')
    await until(`nothing is left of ${selector}`, async () => {
      return (await kubectl('get', kinds, '-l', selector, '--no-headers', '--ignore-not-found')) === ''
    })
  }

  test('Guestbook application should create and stop a working application', async () => {
    const deployment = (name: string, replicas: number, spec: object) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, labels: { book: name } },
      spec: {
        replicas,
        selector: { matchLabels: { book: name } },
        template: { metadata: { labels: { book: name } }, spec },
      },
    })
    const book = [
      service('primary', { book: 'primary' }, 6379),
      service('replica', { book: 'replica' }, 6379),
      service('frontend', { book: 'frontend' }, 80),
      deployment('primary', 1, serving(6379)),
      deployment('replica', 2, serving(6379)),
      deployment('frontend', 3, serving(8080, { ROLE: 'frontend' })),
    ]
    for (const part of book) await fed(['create'], part)
    await running('book=frontend', 3)
    await running('book=primary', 1)
    const frontend = `${home.core('services')}/frontend:80/proxy`
    const request = async (path: string) => (await suite.api(`${frontend}${path}`)).text
    await until('the guest book takes an entry', async () => {
      return (await request('/set?value=TestEntry')) === '{"ok":"TestEntry"}'
    })
    assert.equal(await request('/get'), '{"data":"TestEntry"}')
    await fed(['delete', '--grace-period=0', '--force'], ...book)
    for (const kind of ['deployment', 'service', 'pod']) {
      await until(`no ${kind} of the book is left`, async () => {
        return (await kubectl('get', kind, '-l', 'book', '--no-headers', '--ignore-not-found')) === ''
      })
    }
  })

  test('Kubectl api-versions should check if v1 is in available api versions', async () => {
    assert.match(await kubectl('api-versions'), /^v1$/m)
  })

  test('Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info', async () => {
    const text = stripVTControlCharacters(await kubectl('cluster-info'))
    assert.match(text, /Kubernetes control plane is running at https:\/\//)
  })

  test('Kubectl describe should check if kubectl describe prints relevant information for rc and pods', async () => {
    await fed(['create'], primary())
    await fed(['create'], service('agnhost-primary', primaryLabels, 6379))
    const [pod] = await running('role=primary', 1)
    const shows = async (args: readonly string[], patterns: readonly string[]) => {
      const text = await kubectl('describe', ...args)
      for (const pattern of patterns) assert.match(text, new RegExp(pattern), args.join(' '))
    }
    await shows(
      ['pod', nameOf(pod)],
      [
        'Name:\\s+agnhost-primary-',
        `Namespace:\\s+${home.name}`,
        'Node:\\s+node-1',
        'Labels:\\s+app=agnhost',
        'role=primary',
        'Annotations:',
        'Status:\\s+Running',
        'IP:\\s+\\d',
        'Controlled By:\\s+ReplicationController/agnhost-primary',
        'Image:\\s+localhost/server',
        'State:\\s+Running',
        'QoS Class:\\s+BestEffort',
      ],
    )
    await shows(
      ['rc', 'agnhost-primary'],
      [
        'Name:\\s+agnhost-primary',
        `Namespace:\\s+${home.name}`,
        'Selector:\\s+app=agnhost,role=primary',
        'Labels:\\s+app=agnhost',
        'Replicas:\\s+1 current / 1 desired',
        'Pods Status:\\s+1 Running / 0 Waiting / 0 Succeeded / 0 Failed',
        'Pod Template:',
        'Image:\\s+localhost/server',
        'Events:[\\s\\S]*SuccessfulCreate[\\s\\S]*replication-controller',
      ],
    )
    await shows(
      ['service', 'agnhost-primary'],
      [
        'Name:\\s+agnhost-primary',
        'Labels:\\s+app=agnhost',
        'Annotations:',
        'Selector:\\s+app=agnhost,role=primary',
        'Type:\\s+ClusterIP',
        'IP:\\s+\\d',
        'Port:\\s+<unset>\\s+6379/TCP',
        'Endpoints:\\s+\\S+:6379',
        'Session Affinity:\\s+None',
      ],
    )
    await shows(
      ['node', 'node-1'],
      [
        ...['Name:\\s+node-1', 'Labels:', 'Annotations:', 'CreationTimestamp:', 'Conditions:'],
        'Type\\s+Status\\s+LastHeartbeatTime\\s+LastTransitionTime\\s+Reason\\s+Message',
        ...['Addresses:', 'Capacity:', 'Kernel Version:', 'OS Image:', 'Container Runtime Version:'],
        ...['Kubelet Version:', 'Non-terminated Pods:'],
      ],
    )
    await shows(
      ['namespace', home.name],
      [`Name:\\s+${home.name}`, 'Labels:', 'Annotations:', 'Status:\\s+Active'],
    )
    await cleaned('rc,svc,pods', 'app=agnhost')
  })

  test('Kubectl diff should check if kubectl diff finds a difference for Deployments', async () => {
    const labels = { app: 'httpd' }
    const deployment = named('apps/v1', 'Deployment', 'httpd-deployment', {
      spec: { replicas: 1, selector: { matchLabels: labels }, template: waiting(labels) },
    })
    await fed(['create'], deployment)
    const change = JSON.stringify(deployment).replace('localhost/sleep', 'localhost/other')
    const differs = await suite.kubectl.try(['-n', home.name, 'diff', '-f', '-'], { input: change })
    assert.equal(differs.code, 1, differs.stderr)
    assert.match(differs.stdout, /^-.*image: localhost\/sleep/m)
    assert.match(differs.stdout, /^\+.*image: localhost\/other/m)
    await kubectl('delete', 'deployment', 'httpd-deployment')
  })

  test('Kubectl expose should create services for rc', async () => {
    await fed(['create'], primary())
    await running('role=primary', 1)
    const exposes = async (name: string, port: number) => {
      const ports = await until(`${name} has an endpoint`, async () => {
        const found = await suite.api(`${home.core('endpoints')}/${name}`)
        return at(found.body, 'subsets.0.addresses.0') !== undefined && at(found.body, 'subsets.0.ports')
      })
      assert.equal(at(ports, '0.port'), 6379)
      const made = await suite.ok('GET', `${home.core('services')}/${name}`)
      assert.equal(at(made, 'spec.ports.length'), 1)
      assert.equal(at(made, 'spec.ports.0.port'), port)
      assert.equal(at(made, 'spec.ports.0.targetPort'), 6379)
    }
    await kubectl('expose', 'rc', 'agnhost-primary', '--name=rm2', '--port=1234', '--target-port=6379')
    await exposes('rm2', 1234)
    await kubectl('expose', 'service', 'rm2', '--name=rm3', '--port=2345', '--target-port=6379')
    await exposes('rm3', 2345)
    await cleaned('rc,svc,pods', 'app=agnhost')
  })

  test('Kubectl label should update the label on a resource', async () => {
    await fed(['create'], sleeper('pause'))
    await running('name=pause', 1)
    await kubectl('label', 'pods', 'pause', 'testing-label=testing-label-value')
    assert.match(await kubectl('get', 'pod', 'pause', '-L', 'testing-label'), /testing-label-value/)
    await kubectl('label', 'pods', 'pause', 'testing-label-')
    assert.doesNotMatch(await kubectl('get', 'pod', 'pause', '-L', 'testing-label'), /testing-label-value/)
    await cleaned('pods', 'name=pause')
  })

  test('Kubectl patch should add annotations for pods in rc', async () => {
    await fed(['create'], primary())
    await running('app=agnhost', 1)
    for (const pod of await podsOf('app=agnhost')) {
      await kubectl('patch', 'pod', nameOf(pod), '-p', '{"metadata":{"annotations":{"x":"y"}}}')
    }
    for (const pod of await podsOf('app=agnhost')) assert.equal(at(pod, 'metadata.annotations.x'), 'y')
    await cleaned('rc,pods', 'app=agnhost')
  })

  test("Kubectl replace should update a single-container pod's image", async () => {
    const pod = sleeper('e2e-test-httpd-pod', { run: 'e2e-test-httpd-pod' })
    await fed(['create'], pod)
    await running('run=e2e-test-httpd-pod', 1)
    const now = await kubectl('get', 'pod', 'e2e-test-httpd-pod', '-o', 'json')
    const changed = JSON.parse(now.replaceAll('"image": "localhost/sleep"', '"image": "localhost/busybox"'))
    await fed(['replace'], changed)
    assert.equal(await imageOf('e2e-test-httpd-pod'), 'localhost/busybox')
    await cleaned('pods', 'run=e2e-test-httpd-pod')
  })

  test('Kubectl run pod should create a pod from an image when restart is Never', async () => {
    await kubectl(
      'run',
      'e2e-test-run',
      '--restart=Never',
      '--image=localhost/sleep',
      '--command',
      '--',
      '/bin/sleep',
      '60',
    )
    const pod = await suite.ok('GET', `${home.core('pods')}/e2e-test-run`)
    assert.equal(at(pod, 'spec.containers.0.image'), 'localhost/sleep')
    assert.equal(at(pod, 'spec.restartPolicy'), 'Never')
    await cleaned('pods', 'run=e2e-test-run')
  })

  test('Kubectl server-side dry-run should check if kubectl can dry-run update Pods', async () => {
    const pod = sleeper('e2e-test-dry', { run: 'e2e-test-dry' })
    await fed(['create'], pod)
    await running('run=e2e-test-dry', 1)
    const patch = '{"spec":{"containers":[{"name":"c","image":"localhost/busybox"}]}}'
    const said = await kubectl('patch', 'pod', 'e2e-test-dry', '-p', patch, '--dry-run=server')
    assert.match(said, /e2e-test-dry patched/)
    assert.equal(await imageOf('e2e-test-dry'), 'localhost/sleep')
    await cleaned('pods', 'run=e2e-test-dry')
  })

  test('Kubectl version should check is all data is printed', async () => {
    const text = await kubectl('version')
    assert.match(text, /Client Version: v\d/)
    assert.match(text, /Server Version: v1\.36/)
    const { serverVersion } = (await suite.kubectl.json(['version'])) as {
      serverVersion: Record<string, string>
    }
    const fields = ['major', 'minor', 'gitVersion', 'gitCommit', 'gitTreeState', 'buildDate', 'goVersion']
    for (const field of [...fields, 'compiler', 'platform']) {
      assert.equal(typeof serverVersion[field], 'string', field)
    }
  })

  describe('Proxy server', () => {
    /** Runs `kubectl proxy` while `use` reads `/api/` where it serves. */
    async function proxied(
      args: readonly string[],
      target: (said: string) => object | false,
    ): Promise<string> {
      const child = spawn(KUBECTL, ['--kubeconfig', suite.cluster.kubeconfig, 'proxy', ...args])
      let said = ''
      child.stdout.setEncoding('utf8').on('data', text => (said += text))
      try {
        const options = await until('the proxy serves', () => target(said))
        return await new Promise((resolve, reject) => {
          get({ path: '/api/', agent: false, ...options }, response => {
            let text = ''
            response.setEncoding('utf8').on('data', chunk => (text += chunk))
            response.on('end', () => resolve(text))
          }).on('error', reject)
        })
      } finally {
        child.kill()
      }
    }

    test('should support proxy with --port 0', async () => {
      const answer = await proxied(['-p', '0', '--disable-filter=true'], said => {
        const port = /Starting to serve on 127\.0\.0\.1:(\d+)/.exec(said)?.[1]
        return port !== undefined && { host: '127.0.0.1', port: Number(port) }
      })
      assert.deepEqual(at(JSON.parse(answer), 'versions'), ['v1'])
    })

    test('should support --unix-socket=/path', async () => {
      const socketPath = join(suite.cluster.dataDir, 'proxy.sock')
      const answer = await proxied(
        [`--unix-socket=${socketPath}`],
        said => said.includes(socketPath) && { socketPath },
      )
      assert.deepEqual(at(JSON.parse(answer), 'versions'), ['v1'])
    })
  })

  describe('Update Demo', () => {
    const labels = { name: 'update-demo', version: 'nautilus' }
    const demo = () => ({
      ...named('v1', 'ReplicationController', 'update-demo-nautilus'),
      spec: {
        replicas: 2,
        selector: labels,
        template: { metadata: { labels }, spec: serving(8080, { TEXT: '{"image":"nautilus.jpg"}' }) },
      },
    })
    const shown = async (count: number) => {
      for (const pod of await running('name=update-demo', count)) {
        const answer = await suite.api(`${home.core('pods')}/${nameOf(pod)}:8080/proxy/data.json`)
        assert.deepEqual(answer.body, { image: 'nautilus.jpg' })
      }
    }
    const stop = async () => {
      await fed(['delete', '--grace-period=0', '--force'], demo())
      await until('the pods are gone', async () => (await podsOf('name=update-demo')).length === 0)
      assert.equal(await kubectl('get', 'rc,svc', '-l', 'name=update-demo', '--no-headers'), '')
    }

    test('should create and stop a replication controller', async () => {
      await fed(['create'], demo())
      await shown(2)
      await stop()
    })

    test('should scale a replication controller', async () => {
      await fed(['create'], demo())
      await shown(2)
      await kubectl('scale', 'rc', 'update-demo-nautilus', '--replicas=1', '--timeout=5m')
      await shown(1)
      await kubectl('scale', 'rc', 'update-demo-nautilus', '--replicas=2', '--timeout=5m')
      await shown(2)
      await stop()
    })
  })

  test('Kubectl logs should be able to retrieve and filter logs', async () => {
    const generator = `let line = 0
      const timer = setInterval(() => {
        console.log(\`I \${line} logs_generator.go:76 GET /api/v1/namespaces/default/pods/\${line}\`)
        if (++line === 100) clearInterval(timer)
      }, 5)
      setInterval(() => {}, 60_000)`
    await kubectl(
      'run',
      'logs-generator',
      '--restart=Never',
      '--image=localhost/node',
      '--command',
      '--',
      process.execPath,
      '-e',
      generator,
    )
    const logs = (...args: string[]) => kubectl('logs', 'logs-generator', ...args)
    const lines = (text: string) => text.split('\n').filter(line => line !== '')
    await until('all lines are there', async () => lines(await logs()).length === 100)
    assert.match(await logs('logs-generator'), /GET \/api\/v1\/namespaces\/default\/pods/)
    assert.equal(lines(await logs('--tail=1')).length, 1)
    assert.equal((await logs('--limit-bytes=1')).length, 1)
    const [stamped] = lines(await logs('--tail=1', '--timestamps'))
    const time = stamped?.split(' ')[0] ?? ''
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)
    assert.ok(Number.isFinite(Date.parse(time)))
    assert.equal(lines(await logs('--since=24h')).length, 100)
    await until('nothing is younger than a second', async () => lines(await logs('--since=1s')).length === 0)
    await cleaned('pods', 'run=logs-generator')
  })
})
