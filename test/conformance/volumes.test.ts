/** What sig-storage asks of volumes, with real containers and real mounts, in a network namespace of its own. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MK8S } from '../support/cluster.ts'
import { NetworkNamespace, whyNoContainers } from '../support/containerd.ts'
import { KUBECTL, kubectlFor, type RunOptions, run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const IMAGE = 'localhost/test/busybox:1'

interface Wanted {
  readonly script: string
  readonly volumes: readonly object[]
  readonly mounts: readonly object[]
  readonly container?: object
  readonly spec?: object
}

const podOf = (name: string, { script, volumes, mounts, container, spec }: Wanted) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { own: 'label' } },
  spec: {
    ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0, volumes, ...spec },
    containers: [
      { name: 'c', image: IMAGE, command: ['sh', '-ec', script], volumeMounts: mounts, ...container },
    ],
  },
})
const claim = (name: string) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
})

describe('volumes of real containers', { skip: whyNoContainers() ?? false }, () => {
  let namespace: NetworkNamespace
  let parent = ''
  let dataDir = ''

  const inside = (program: string, args: readonly string[], options: RunOptions = {}) => {
    const [enter, ...words] = namespace.enter
    const env = { MK8S_DATA_DIR: dataDir, ...options.env }
    return run(enter, [...words, program, ...args], { ...options, env })
  }
  const mk8s = async (args: readonly string[], options: RunOptions = {}) => {
    const ran = await inside(MK8S, args, options)
    assert.equal(ran.code, 0, `mk8s ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    return ran.stdout
  }
  const tool = () => kubectlFor(join(dataDir, 'admin.kubeconfig'), KUBECTL, namespace.enter)
  const kubectl = (args: readonly string[], options: RunOptions = {}) => tool().ok(args, options)
  const apply = (...items: object[]) =>
    kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  const reaches = (pod: string, ...phases: string[]) =>
    until(`${pod} is ${phases.join(' or ')}`, async () => {
      const phase = await kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status.phase}'])
      return phases.includes(phase) && phase
    })
  /** What the pod says before it ends well. */
  const says = async (name: string, wanted: Wanted) => {
    await apply(podOf(name, wanted))
    const phase = await reaches(name, 'Succeeded', 'Failed')
    const said = await kubectl(['logs', name])
    assert.equal(phase, 'Succeeded', `${name}: ${said}`)
    return said
  }

  before(async () => {
    namespace = new NetworkNamespace('vol')
    parent = mkdtempSync(join(tmpdir(), 'mk8s-volumes-'))
    dataDir = join(parent, 'data')
    const where = ['--bind-address', namespace.address, '--node-name', 'n1']
    await mk8s(['install', '--runtime', 'containerd', ...where])
    await mk8s(['images', 'import', '--busybox', IMAGE])
    await until('the default service account', async () => {
      return (await tool().try(['get', 'serviceaccount', 'default'])).code === 0
    })
  })
  after(async () => {
    if (existsSync(dataDir)) await inside(MK8S, ['uninstall', '--yes'])
    namespace.remove()
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
    assert.equal(mounts.includes(parent), false, 'nothing stays mounted')
    rmSync(parent, { recursive: true, force: true })
  })

  test('EmptyDir should support modes on tmpfs, a size limit, and a group', async () => {
    const said = await says('memory', {
      script: 'grep " /m " /proc/mounts; stat -c "%a %g" /m; touch /m/f; stat -c %g /m/f; stat -c %a /d',
      mounts: [
        { name: 'm', mountPath: '/m' },
        { name: 'd', mountPath: '/d' },
      ],
      volumes: [
        { name: 'm', emptyDir: { medium: 'Memory', sizeLimit: '4Mi' } },
        { name: 'd', emptyDir: {} },
      ],
      spec: { securityContext: { fsGroup: 2000, runAsUser: 1000 } },
    })
    assert.match(said, /^tmpfs \/m tmpfs rw,.*size=4096k/)
    assert.match(said, /\n2777 2000\n2000\n2777\n$/)
  })

  test('Secrets should be consumable from pods in volume as non-root with defaultMode and fsGroup set', async () => {
    await kubectl(['create', 'secret', 'generic', 'own', '--from-literal=key=hidden'])
    const said = await says('secret', {
      script: 'cat /s/key; echo; stat -L -c "%a %g" /s/key; touch /s/new 2>/dev/null || echo read-only',
      mounts: [{ name: 's', mountPath: '/s', readOnly: true }],
      volumes: [{ name: 's', secret: { secretName: 'own', defaultMode: 0o440 } }],
      spec: { securityContext: { fsGroup: 1001, runAsUser: 1000 } },
    })
    assert.equal(said, 'hidden\n440 1001\nread-only\n')
  })

  test('Projected: the downward API, config maps and secrets lie side by side', async () => {
    await kubectl(['create', 'configmap', 'own', '--from-literal=word=plain'])
    const item = (resource: string) => ({
      path: resource,
      resourceFieldRef: { containerName: 'c', resource, divisor: '1Mi' },
    })
    const sources = [
      { configMap: { name: 'own', items: [{ key: 'word', path: 'deep/word' }] } },
      { secret: { name: 'own' } },
      { downwardAPI: { items: [item('limits.memory'), item('requests.memory')] } },
      { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
    ]
    const said = await says('projected', {
      script:
        'cd /p; cat deep/word key; for f in limits.memory requests.memory labels; do echo; cat $f; done',
      mounts: [{ name: 'p', mountPath: '/p' }],
      volumes: [{ name: 'p', projected: { sources } }],
      container: { resources: { limits: { memory: '64Mi' }, requests: { memory: '32Mi' } } },
    })
    assert.equal(said, 'plainhidden\n64\n32\nown="label"')
  })

  test('Subpath: parts of volumes are mounted, by names from the environment, and never what links lead to', async () => {
    await apply(claim('parts'))
    const volumes = [
      { name: 'v', persistentVolumeClaim: { claimName: 'parts' } },
      { name: 'c', configMap: { name: 'own' } },
    ]
    const env = [{ name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }]
    const said = await says('sub', {
      script: 'echo in >/a/f; cat /etc/word; ln -s / /all/out; ln -s sub /all/mine; ls /all/sub',
      mounts: [
        { name: 'v', mountPath: '/a', subPathExpr: '$(POD)' },
        { name: 'v', mountPath: '/all' },
        { name: 'c', mountPath: '/etc/word', subPath: 'word' },
      ],
      volumes,
      container: { env },
    })
    assert.equal(said, 'plainf\n')
    const mine = [{ name: 'v', mountPath: '/a', subPath: 'mine' }]
    assert.equal(await says('again', { script: 'cat /a/f', mounts: mine, volumes }), 'in\n')
    const out = [{ name: 'v', mountPath: '/a', subPath: 'out/etc' }]
    await apply(podOf('escape', { script: 'cat /a/shadow', mounts: out, volumes }))
    const message = 'jsonpath={.status.containerStatuses[0].state.waiting.message}'
    await until('the pod is refused', async () =>
      (await kubectl(['get', 'pod', 'escape', '-o', message])).includes(
        'failed to prepare subPath for volumeMount "v"',
      ),
    )
    await kubectl(['delete', 'pod', 'escape', '--now'])
  })

  test('HostPath and propagation: what a container mounts there is seen on the host and by others', async () => {
    const shared = (mountPropagation: string) => [{ name: 'h', mountPath: '/h', mountPropagation }]
    const path = join(dataDir, 'pods', 'shared')
    const volumes = [{ name: 'h', hostPath: { path, type: 'DirectoryOrCreate' } }]
    const script = 'mkdir -p /h/m; mount -t tmpfs own /h/m; echo seen >/h/m/f; sleep 600'
    const container = { securityContext: { privileged: true } }
    await apply(podOf('mounts', { script, mounts: shared('Bidirectional'), volumes, container }))
    await until('the host sees it', () => existsSync(join(path, 'm/f')))
    const said = await says('sees', { script: 'cat /h/m/f', mounts: shared('HostToContainer'), volumes })
    assert.equal(said, 'seen\n')
    await kubectl(['exec', 'mounts', '--', 'umount', '/h/m'])
    await kubectl(['delete', 'pod', 'mounts', '--now'])
  })

  test('a claim keeps what is written through a restart of everything, and its group', async () => {
    await apply(claim('kept'))
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'kept' } }]
    const mounts = [{ name: 'v', mountPath: '/v' }]
    const spec = { securityContext: { fsGroup: 3000, runAsUser: 1000 } }
    assert.equal(
      await says('first', { script: 'echo data >/v/f; stat -c %g /v/f', mounts, volumes, spec }),
      '3000\n',
    )
    process.kill(Number.parseInt(readFileSync(join(dataDir, 'run/daemon.pid'), 'utf8'), 10), 'SIGKILL')
    await until('the daemon is back', async () => {
      return (await tool().try(['get', '--raw', '/readyz'])).stdout === 'ok'
    })
    assert.equal(await says('second', { script: 'cat /v/f', mounts, volumes, spec }), 'data\n')
    const readOnly = [{ name: 'v', persistentVolumeClaim: { claimName: 'kept', readOnly: true } }]
    const script = 'cat /v/f; touch /v/new 2>/dev/null || echo read-only'
    assert.equal(await says('third', { script, mounts, volumes: readOnly }), 'data\nread-only\n')
    await kubectl(['delete', 'pod', '--all', '--now'])
    await kubectl(['delete', 'pvc', '--all'])
    await until('the directories are gone', () => readdirSync(join(dataDir, 'volumes')).length === 0)
  })
})
