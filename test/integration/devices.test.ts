/** Claims on devices on a real node with a driver that the test runs: prepared, given to containers, and given back. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Event, Pod, ResourceClaim } from '../../src/kube/types.ts'
import { parseCpus } from '../../src/runtime/kubelet/cpus/cpu-set.ts'
import { readHostFacts } from '../../src/runtime/kubelet/kubelet.ts'
import { type ContainerCluster, IMAGE, startContainerCluster } from '../support/container-cluster.ts'
import { startDraDriver, type TestDraDriver } from '../support/dra-driver.ts'
import { whyNoOci } from '../support/oci.ts'
import { until } from '../support/until.ts'

const NAME = 'gpu.test.example'
const API = 'resource.k8s.io/v1'
const CDI = '/var/run/cdi'
const WAIT_MS = 120_000
const TOO_FEW = readHostFacts('/').cpuCount > 1 ? false : 'one processor cannot be shared out'
const ALONE = TOO_FEW === false ? ['--cpu-manager-policy', 'static', '--reserved-cpus', '0'] : []

describe('a driver of devices', { skip: whyNoOci() ?? false }, () => {
  let cluster: ContainerCluster
  let driver: TestDraDriver | undefined
  before(async () => {
    cluster = await startContainerCluster('oci', 'devices', ALONE)
    const gpu = { name: 'gpu', exactly: { deviceClassName: 'gpu' } }
    const spec = { devices: { requests: [gpu] } }
    const selectors = [{ cel: { expression: `device.driver == "${NAME}"` } }]
    const devices = [{ name: 'gpu-0' }, { name: 'gpu-1' }]
    const pool = { name: 'n1', generation: 1, resourceSliceCount: 1 }
    await cluster.apply(
      { apiVersion: API, kind: 'DeviceClass', metadata: { name: 'gpu' }, spec: { selectors } },
      {
        ...{ apiVersion: API, kind: 'ResourceSlice', metadata: { name: 'n1-gpus' } },
        // A kubelet deletes what drivers of its own node said that are not there, however slow the test is.
        spec: { driver: NAME, allNodes: true, pool, devices },
      },
      { apiVersion: API, kind: 'ResourceClaimTemplate', metadata: { name: 'gpu' }, spec: { spec } },
      { apiVersion: API, kind: 'ResourceClaim', metadata: { name: 'shared' }, spec },
    )
  })
  after(async () => {
    driver?.stop()
    await cluster.remove()
  })

  const start = async (version?: string) => {
    const directory = join(cluster.dataDir, 'plugins', NAME)
    driver = await startDraDriver({
      ...{ name: NAME, directory, registry: join(cluster.dataDir, 'plugins_registry'), cdi: CDI },
      ...(version === undefined ? {} : { version }),
      devicesOf: async ({ name }) => {
        const claim = await get<ResourceClaim>('resourceclaim', name)
        return claim.status?.allocation?.devices?.results ?? []
      },
    })
    return driver
  }
  const get = async <T>(kind: string, name: string): Promise<T> =>
    JSON.parse(await cluster.kubectl.ok(['get', kind, name, '-o', 'json'])) as T
  const podWith = (
    name: string,
    claim: object,
    command = 'trap "exit 0" TERM; echo "has $DEVICE"; sleep 3600 & wait',
  ) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
    spec: {
      ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0 },
      resourceClaims: [{ name: 'gpu', ...claim }],
      containers: [
        {
          ...{ name: 'c', image: IMAGE, command: ['sh', '-c', command] },
          resources: { claims: [{ name: 'gpu' }] },
        },
      ],
    },
  })
  const running = (name: string) =>
    until(`${name} to run`, async () => (await get<Pod>('pod', name)).status?.phase === 'Running', WAIT_MS)
  const logOf = (name: string) =>
    until(`words of ${name}`, async () => (await cluster.kubectl.ok(['logs', name])).trim(), WAIT_MS)
  const event = (pod: string, wanted: RegExp) =>
    until(
      `an event of ${pod}`,
      async () => {
        const list = await cluster.kubectl.ok(['get', 'events', '-o', 'json'])
        const { items } = JSON.parse(list) as { items: Event[] }
        return items.some(
          ({ reason, involvedObject, message = '' }) =>
            involvedObject.name === pod && wanted.test(`${reason}: ${message}`),
        )
      },
      WAIT_MS,
    )
  const template = { resourceClaimTemplateName: 'gpu' }
  const specs = () => (existsSync(CDI) ? readdirSync(CDI).filter(name => name.startsWith(NAME)) : [])

  test('containers that ask for whole processors have them for themselves', { skip: TOO_FEW }, async () => {
    const cpusOf = async (name: string) => {
      const script = 'grep Cpus_allowed_list: /proc/self/status'
      const told = await cluster.kubectl.ok(['exec', name, '--', 'sh', '-c', script])
      return told.trim().split(/\s+/).at(-1)
    }
    const pod = (name: string, amounts?: object) => ({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            ...{ name: 'c', image: IMAGE, command: ['sleep', '3600'] },
            resources: amounts === undefined ? {} : { requests: amounts, limits: amounts },
          },
        ],
      },
    })
    await cluster.apply(pod('sharing'))
    await running('sharing')
    const everywhere = await cpusOf('sharing')
    await cluster.apply(pod('alone', { cpu: '1', memory: '32Mi' }))
    await running('alone')
    const own = await cpusOf('alone')
    assert.match(own ?? '', /^[1-9][0-9]*$/, 'one processor, and not the reserved one')
    const isApart = async () => {
      const shared = parseCpus((await cpusOf('sharing')) ?? '')
      return shared !== null && shared.size > 0 && !shared.has(Number(own))
    }
    await until('the other one has left it', isApart, WAIT_MS)
    await cluster.apply(pod('late'))
    await running('late')
    assert.equal(await cpusOf('late'), await cpusOf('sharing'))
    await cluster.kubectl.ok(['delete', 'pod', 'alone', '--now'])
    await until('it has it back', async () => (await cpusOf('sharing')) === everywhere, WAIT_MS)
    await cluster.kubectl.ok(['delete', 'pod', 'sharing', 'late', '--now'])
  })

  test('is waited for, says why it cannot, and is asked again', async () => {
    await cluster.apply(podWith('first', template))
    await event(
      'first',
      new RegExp(`^FailedPrepareDynamicResources: .*: DRA driver ${NAME} is not registered$`),
    )
    const { calls } = await start()
    await running('first')
    assert.match(await logOf('first'), /^has gpu-\d$/)
    assert.equal(calls.length, 1)
    assert.match(calls[0] ?? '', /^prepare first-gpu-/)
    const device = (await logOf('first')).replace('has ', '')
    const health = async () => {
      const [status] = (await get<Pod>('pod', 'first')).status?.containerStatuses ?? []
      return JSON.stringify(status?.allocatedResourcesStatus)
    }
    assert.match(await health(), /"claim:gpu".*"health":"Unknown"/)
    driver?.tellHealth([{ pool: 'n1', device, health: 'UNHEALTHY', message: 'too hot' }])
    await until('its status says so', async () =>
      /"health":"Unhealthy","message":"too hot"/.test(await health()),
    )
    const told = await cluster.kubectl.ok(['describe', 'resourceclaim'])
    assert.match(told, /Reserved For:\n\s+Name:\s+first\n/)
  })

  test('prepares a claim once for all pods that share it, and undoes it after the last', async () => {
    const shared = { resourceClaimName: 'shared' }
    await cluster.apply(podWith('one', shared), podWith('other', shared))
    await Promise.all([running('one'), running('other')])
    assert.equal(await logOf('one'), await logOf('other'))
    const calls = () => driver?.calls.filter(each => each.endsWith(' shared'))
    assert.deepEqual(calls(), ['prepare shared'])
    await cluster.kubectl.ok(['delete', 'pod', 'one'])
    assert.deepEqual(calls(), ['prepare shared'])
    await cluster.kubectl.ok(['delete', 'pod', 'other'])
    await until('the end of the claim', () => calls()?.at(-1) === 'unprepare shared', WAIT_MS)
    assert.equal(calls()?.length, 2)
    const isFree = async () => !(await get<ResourceClaim>('resourceclaim', 'shared')).status?.allocation
    await until('the device to be free', isFree, WAIT_MS)
  })

  test('has taken its devices back before a pod is said to be over', async () => {
    if (driver !== undefined) driver.failure = 'out of order'
    await cluster.apply(podWith('brief', template, 'echo "had $DEVICE"'))
    await event('brief', /: NodePrepareResources failed for ResourceClaim brief-gpu-.{5}: out of order$/)
    if (driver !== undefined) driver.failure = ''
    await until(
      'the end',
      async () => (await get<Pod>('pod', 'brief')).status?.phase === 'Succeeded',
      WAIT_MS,
    )
    assert.match(driver?.calls.at(-1) ?? '', /^unprepare brief-gpu-/)
    assert.match(await logOf('brief'), /^had gpu-\d$/)
  })

  test('is not asked again by a daemon that was killed, and is asked to undo what went meanwhile', async () => {
    const before = driver?.calls.length ?? 0
    const pidFile = join(cluster.dataDir, 'run/daemon.pid')
    const pid = readFileSync(pidFile, 'utf8')
    process.kill(Number.parseInt(pid, 10), 'SIGKILL')
    await until(
      'the next daemon',
      () => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== pid,
      WAIT_MS,
    )
    const isBack = async () => (await cluster.kubectl.try(['get', '--raw', '/readyz'])).code === 0
    await until('the API', isBack, WAIT_MS)
    await running('first')
    assert.equal(driver?.calls.length, before)
    assert.equal(specs().length, 1)
    await cluster.kubectl.ok(['delete', 'pod', 'first', '--force'])
    await until('the device back', () => driver?.calls.at(-1)?.startsWith('unprepare first-gpu-'), WAIT_MS)
    assert.deepEqual(specs(), [])
  })

  test('may speak the version before, and keeps a pod from ending while it is away', async () => {
    driver?.stop()
    await start('v1beta1.DRAPlugin')
    await cluster.apply(podWith('late', template))
    await running('late')
    driver?.stop()
    await cluster.kubectl.ok(['delete', 'pod', 'late', '--wait=false'])
    await event('late', /^FailedKillPod: .*is not registered$/)
    const { calls } = await start()
    await cluster.kubectl.ok(['wait', '--for=delete', 'pod/late', '--timeout=120s'])
    assert.match(calls.at(-1) ?? '', /^unprepare late-gpu-/)
  })
})
