/** What a pod's life is made of besides starting: hooks, probes of each kind, deadlines, sidecars, its node. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { GRPC_HEALTH_SERVER } from '../support/grpc-health.ts'
import { until } from '../support/until.ts'

/** Answers 200 to the right header on /ok once the file named in UP is there, else 500. */
const HTTP_SERVER = `
require('http').createServer((request, response) => {
  const good = request.url === '/ok' && request.headers['x-a'] === 'b' && require('fs').existsSync(process.env.UP)
  response.writeHead(good ? 200 : 500).end()
}).listen(8080, process.env.POD_IP)`

interface ContainerStatus {
  readonly name: string
  readonly ready: boolean
  readonly started?: boolean
  readonly restartCount: number
  readonly resources?: { readonly limits?: Readonly<Record<string, string>> }
  readonly state: Record<string, { reason?: string; exitCode?: number }>
}

interface PodStatus {
  readonly phase: string
  readonly reason?: string
  readonly containerStatuses?: readonly ContainerStatus[]
  readonly initContainerStatuses?: readonly ContainerStatus[]
}

describe('the life of a pod', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-pods-'))
  let cluster: TestCluster
  before(async () => {
    cluster = await installCluster()
  })
  after(async () => {
    await cluster.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  const create = (name: string, spec: object) => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }
    return cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
  }
  const statusOf = async (name: string): Promise<PodStatus> =>
    JSON.parse(await cluster.kubectl.ok(['get', 'pod', name, '-o', 'jsonpath={.status}']))
  const containerOf = async (name: string) => (await statusOf(name)).containerStatuses?.[0]
  const shared = { name: 'shared', hostPath: { path: directory } }
  const volumeMounts = [{ name: 'shared', mountPath: directory }]
  const podIp = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }

  test('preStop ends before SIGTERM comes, and postStart runs in the container', async () => {
    const note = (word: string) => ['sh', '-c', `echo ${word} >>${directory}/hooks`]
    const script = `trap 'echo term >>${directory}/hooks; exit 0' TERM; while :; do sleep 0.05; done`
    const lifecycle = {
      postStart: { exec: { command: note('started') } },
      preStop: { exec: { command: ['sh', '-c', `sleep 0.5; echo stopping >>${directory}/hooks`] } },
    }
    const command = ['sh', '-c', script]
    const containers = [{ name: 'c', image: 'i', command, lifecycle, volumeMounts }]
    await create('hooks', { terminationGracePeriodSeconds: 10, containers, volumes: [shared] })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/hooks', '--timeout=120s'])
    await cluster.kubectl.ok(['delete', 'pod', 'hooks', '--timeout=120s'])
    assert.equal(readFileSync(join(directory, 'hooks'), 'utf8'), 'started\nstopping\nterm\n')
  })

  test('a deletion does not wait for a postStart hook that takes long', async () => {
    const lifecycle = { postStart: { exec: { command: ['sleep', '600'] } } }
    const containers = [{ name: 'c', image: 'i', command: ['sleep', '600'], lifecycle }]
    await create('slow-hook', { terminationGracePeriodSeconds: 1, containers })
    await until('it runs', async () =>
      /Started/.test(await cluster.kubectl.ok(['events', '--for=pod/slow-hook'])),
    )
    await cluster.kubectl.ok(['delete', 'pod', 'slow-hook', '--timeout=120s'])
  })

  test('a startup probe over HTTP holds readiness back, and passes once', async () => {
    const up = join(directory, 'up')
    const probe = {
      httpGet: { port: 'web', path: '/ok', httpHeaders: [{ name: 'X-A', value: 'b' }] },
      periodSeconds: 1,
    }
    const container = {
      name: 'c',
      image: 'i',
      command: [process.execPath, '-e', HTTP_SERVER],
      env: [podIp, { name: 'UP', value: up }],
      volumeMounts,
      ports: [{ name: 'web', containerPort: 8080 }],
      startupProbe: { ...probe, failureThreshold: 60 },
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    }
    await create('http', { terminationGracePeriodSeconds: 1, containers: [container], volumes: [shared] })
    await until('the probe fails', async () =>
      /Startup probe failed: HTTP probe failed with statuscode: 500/.test(
        await cluster.kubectl.ok(['events', '--for=pod/http']),
      ),
    )
    const held = await containerOf('http')
    assert.deepEqual([held?.started, held?.ready, held?.restartCount], [false, false, 0])
    writeFileSync(up, '')
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/http', '--timeout=120s'])
    assert.equal((await containerOf('http'))?.restartCount, 0)
    await cluster.kubectl.ok(['delete', 'pod', 'http', '--wait=false'])
  })

  test('Probing container should be restarted with a GRPC liveness probe', async () => {
    const gone = join(directory, 'gone')
    const probe = { grpc: { port: 9090 }, periodSeconds: 1, failureThreshold: 2 }
    const container = {
      name: 'c',
      image: 'i',
      command: [process.execPath, '-e', GRPC_HEALTH_SERVER],
      env: [podIp, { name: 'GONE', value: gone }],
      volumeMounts,
      startupProbe: { ...probe, failureThreshold: 60 },
      livenessProbe: probe,
    }
    await create('grpc', { terminationGracePeriodSeconds: 1, containers: [container], volumes: [shared] })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/grpc', '--timeout=120s'])
    writeFileSync(gone, '')
    await until('it is restarted', async () => ((await containerOf('grpc'))?.restartCount ?? 0) > 0)
    await cluster.kubectl.ok(['delete', 'pod', 'grpc', '--wait=false'])
  })

  test('liveness over TCP restarts a container that does not listen', async () => {
    const livenessProbe = { tcpSocket: { port: 7777 }, periodSeconds: 1, failureThreshold: 1 }
    const containers = [{ name: 'c', image: 'i', command: ['sleep', '600'], livenessProbe }]
    await create('tcp', { terminationGracePeriodSeconds: 1, containers })
    await until('it is restarted', async () => ((await containerOf('tcp'))?.restartCount ?? 0) > 0)
    await cluster.kubectl.ok(['delete', 'pod', 'tcp', '--wait=false'])
  })

  test('a running container is resized in place', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, async () => {
    const resources = { requests: { cpu: '50m' }, limits: { cpu: '500m', memory: '128Mi' } }
    await create('sized', { containers: [{ name: 'c', image: 'i', command: ['sleep', '600'], resources }] })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/sized', '--timeout=120s'])
    const wanted = { limits: { cpu: '400m', memory: '160Mi' } }
    const patch = JSON.stringify({ spec: { containers: [{ name: 'c', resources: wanted }] } })
    await cluster.kubectl.ok(['patch', 'pod', 'sized', '--subresource=resize', '-p', patch])
    await until('what it has', async () => {
      const { limits } = (await containerOf('sized'))?.resources ?? {}
      return limits?.['cpu'] === '400m' && limits['memory'] === '160Mi'
    })
    assert.equal((await containerOf('sized'))?.restartCount, 0)
    await cluster.kubectl.ok(['delete', 'pod', 'sized', '--force'])
  })

  test('a pod is ended at its deadline, and says so', async () => {
    const containers = [{ name: 'c', image: 'i', command: ['sleep', '600'] }]
    await create('deadline', { activeDeadlineSeconds: 1, terminationGracePeriodSeconds: 1, containers })
    await until('it failed', async () => (await statusOf('deadline')).phase === 'Failed')
    const status = await statusOf('deadline')
    assert.equal(status.reason, 'DeadlineExceeded')
    await until(
      'nothing runs',
      async () => (await containerOf('deadline'))?.state['terminated'] !== undefined,
    )
  })

  test('a sidecar starts before the others, ends after them, and does not keep the pod from succeeding', async () => {
    const line = (word: string) => `echo ${word} >>${directory}/order`
    const side = `${line('side')}; trap '${line('side-end')}; exit 0' TERM; while :; do sleep 0.05; done`
    const common = { image: 'i', volumeMounts }
    await create('sidecar', {
      restartPolicy: 'Never',
      volumes: [shared],
      initContainers: [
        {
          ...common,
          name: 'side',
          restartPolicy: 'Always',
          command: ['sh', '-c', side],
          startupProbe: {
            exec: { command: ['grep', '-q', 'side', `${directory}/order`] },
            periodSeconds: 1,
            failureThreshold: 60,
          },
        },
        { ...common, name: 'init', command: ['sh', '-c', line('init')] },
      ],
      containers: [{ ...common, name: 'main', command: ['sh', '-c', line('main')] }],
    })
    await until('it succeeded', async () => (await statusOf('sidecar')).phase === 'Succeeded')
    assert.equal(readFileSync(join(directory, 'order'), 'utf8'), 'side\ninit\nmain\nside-end\n')
  })

  test('a node that is deleted registers again, and its running pods stay', async () => {
    const containers = [{ name: 'c', image: 'i', command: ['sleep', '600'] }]
    await create('stays', { terminationGracePeriodSeconds: 1, containers })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/stays', '--timeout=120s'])
    const uid = await cluster.kubectl.ok(['get', 'node', 'node-1', '-o', 'jsonpath={.metadata.uid}'])
    await cluster.kubectl.ok(['delete', 'node', 'node-1'])
    await until('it is another node', async () => {
      const ran = await cluster.kubectl.try(['get', 'node', 'node-1', '-o', 'jsonpath={.metadata.uid}'])
      return ran.code === 0 && ran.stdout !== uid
    })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'node/node-1', '--timeout=120s'])
    const leases = ['get', 'lease', '-n', 'kube-node-lease', 'node-1']
    await until('its lease is back', async () => (await cluster.kubectl.try(leases)).code === 0)
    assert.equal((await statusOf('stays')).phase, 'Running')
    assert.equal(existsSync(join(cluster.dataDir, 'run/ready')), true)
  })
})
