/**
 * What sig-storage asks of volumes that are files: config maps, secrets, the downward API, projections, emptyDirs and
 * parts of them. Each behaviour is a pod that says what it sees; they all run beside one another.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { hasEnded, type PodResults, phaseOf, podResults } from '../support/pod-results.ts'
import { until } from '../support/until.ts'

interface Behaviour {
  /** As the behaviour is called; several where one pod shows them. */
  readonly names: readonly string[]
  readonly volumes: readonly object[]
  readonly mounts?: readonly object[]
  readonly script: string
  readonly says: string
  readonly spec?: object
  readonly container?: object
}

interface Moded {
  readonly defaultMode?: number
  readonly [more: string]: unknown
}

const isRoot = process.platform === 'linux' && process.geteuid?.() === 0
const DATA = { 'data-1': 'value-1', 'data-2': 'value-2' }
const bytes = Buffer.from('decafebad0feff', 'hex').toString('base64')
const AT = [{ name: 'v', mountPath: '/v' }]
const NON_ROOT = { securityContext: { runAsUser: 1000, runAsGroup: 3000 } }
const WITH_GROUP = { securityContext: { runAsUser: 1000, fsGroup: 1001 } }
const MAPPED = [{ key: 'data-2', path: 'path/to/data-2' }]
const MAPPED_MODE = [{ key: 'data-2', path: 'path/to/data-2', mode: 0o400 }]
const LIMITS = { limits: { cpu: '1250m', memory: '64Mi' }, requests: { cpu: '250m', memory: '32Mi' } }
const STAT = 'stat -L -c %a'

const projected = (source: object, more: object = {}) => [
  { name: 'v', projected: { ...more, sources: [source] } },
]
const field = (fieldPath: string, more: object = {}) => ({
  items: [{ path: 'f', fieldRef: { fieldPath }, ...more }],
})
const resource = (name: string, divisor: string) => ({
  items: [{ path: 'f', resourceFieldRef: { containerName: 'main', resource: name, divisor } }],
})

/** What holds for config maps, secrets and their projections alike. */
function ofKeys(): Behaviour[] {
  const kinds = [
    { label: 'ConfigMap', volume: (more: Moded) => [{ name: 'v', configMap: { name: 'map', ...more } }] },
    {
      label: 'Secrets',
      volume: (more: Moded) => [{ name: 'v', secret: { secretName: 'secret', ...more } }],
    },
    {
      label: 'Projected configMap',
      volume: ({ defaultMode, ...more }: Moded) =>
        projected({ configMap: { name: 'map', ...more } }, { defaultMode }),
    },
    {
      label: 'Projected secret',
      volume: ({ defaultMode, ...more }: Moded) =>
        projected({ secret: { name: 'secret', ...more } }, { defaultMode }),
    },
  ]
  return kinds.flatMap(({ label, volume }) => {
    const name = (what: string) => `${label} should be consumable ${what}`
    const isSecret = /secret/i.test(label)
    return [
      {
        names: [name('from pods in volume'), name('from pods in volume as non-root')],
        ...{ volumes: volume({}), script: `cat /v/data-1; ${STAT} /v/data-1`, says: 'value-1644\n' },
        spec: NON_ROOT,
      },
      {
        names: [name('from pods in volume with defaultMode set')],
        ...{ volumes: volume({ defaultMode: 0o400 }), script: `${STAT} /v/data-1; cat /v/data-1` },
        says: '400\nvalue-1',
      },
      {
        names: [name('from pods in volume as non-root with defaultMode and fsGroup set')],
        ...{ volumes: volume({ defaultMode: 0o440 }), spec: WITH_GROUP },
        ...{ script: `cat /v/data-1; stat -L -c '%a %g' /v/data-1`, says: 'value-1440 1001\n' },
      },
      {
        names: [
          name('from pods in volume with mappings'),
          name('from pods in volume with mappings as non-root'),
        ],
        ...{ volumes: volume({ items: MAPPED }), script: 'cat /v/path/to/data-2; ls /v', spec: NON_ROOT },
        says: 'value-2path\n',
      },
      {
        names: [name(`from pods in volume with mappings and Item ${isSecret ? 'Mode' : 'mode'} set`)],
        ...{ volumes: volume({ items: MAPPED_MODE }), script: `${STAT} /v/path/to/data-2`, says: '400\n' },
      },
      {
        names: [name(`in multiple volumes in ${isSecret ? 'a' : 'the same'} pod`)],
        volumes: [...volume({}), ...volume({}).map(each => ({ ...each, name: 'w' }))],
        mounts: [...AT, { name: 'w', mountPath: '/w' }],
        ...{ script: 'cat /v/data-1 /w/data-1', says: 'value-1value-1' },
      },
    ]
  })
}

/** What holds for the downward API and its projection alike. */
function ofDownward(): Behaviour[] {
  const kinds = [
    { label: 'Downward API volume', volume: (source: Moded) => [{ name: 'v', downwardAPI: source }] },
    {
      label: 'Projected downwardAPI',
      volume: ({ defaultMode, ...source }: Moded) => projected({ downwardAPI: source }, { defaultMode }),
    },
  ]
  const script = 'cat /v/f'
  return kinds.flatMap(({ label, volume }) => {
    const provides = (what: string) => [`${label} should provide ${what}`]
    const read = (what: string, source: Moded, says: string, container: object = { resources: LIMITS }) => ({
      ...{ names: provides(what), volumes: volume(source), script, says, container },
    })
    return [
      read("container's cpu limit", resource('limits.cpu', '1m'), '1250'),
      read("container's cpu request", resource('requests.cpu', '1m'), '250'),
      read("container's memory limit", resource('limits.memory', '1Mi'), '64'),
      read("container's memory request", resource('requests.memory', '1Mi'), '32'),
      read(
        'node allocatable (cpu) as default cpu limit if the limit is not set',
        resource('limits.cpu', '1'),
        '$cpu',
        {},
      ),
      read(
        'node allocatable (memory) as default memory limit if the limit is not set',
        resource('limits.memory', '1'),
        '$memory',
        {},
      ),
      read('podname only', field('metadata.name'), '$pod'),
      {
        names: [`${label} should set DefaultMode on files`],
        volumes: volume({ ...field('metadata.name'), defaultMode: 0o400 }),
        ...{ script: `${STAT} /v/f`, says: '400\n' },
      },
      {
        names: [`${label} should set mode on item file`],
        volumes: volume(field('metadata.name', { mode: 0o400 })),
        ...{ script: `${STAT} /v/f`, says: '400\n' },
      },
    ]
  })
}

/** Whoever writes with a mode finds it again, on disk and in memory. */
function ofEmptyDirs(): Behaviour[] {
  return ['', 'Memory'].flatMap(medium => {
    const where = medium === '' ? 'default' : 'tmpfs'
    const volumes = [{ name: 'v', emptyDir: { medium } }]
    const type = medium === '' ? '' : 'stat -f -c %T /v; '
    const modes = ['644', '666', '777'].flatMap(mode =>
      ['root', 'non-root'].map(user => ({
        names: [`EmptyDir volumes should support (${user},0${mode},${where})`],
        ...{ volumes, spec: user === 'root' ? {} : NON_ROOT },
        script: `umask 0; echo content >/v/f; chmod ${mode} /v/f; cat /v/f; ${STAT} /v/f`,
        says: `content\n${mode}\n`,
      })),
    )
    const own = {
      names: [
        `EmptyDir volumes volume on ${medium === '' ? 'default medium' : where} should have the correct mode`,
      ],
      ...{ volumes, script: `${type}${STAT} /v`, says: medium === '' ? '777\n' : 'tmpfs\n777\n' },
    }
    return [...modes, own]
  })
}

/** A part of a volume of each sort, in a directory or in the place of a file that is there. */
function ofSubPaths(): Behaviour[] {
  const name = (what: string) => [`Subpath Atomic writer volumes should support subpaths with ${what}`]
  const part = (what: string, volume: object, file: string, says: string) => ({
    ...{ names: name(what), volumes: [{ name: 'v', ...volume }], script: 'cat /part', says },
    mounts: [{ name: 'v', mountPath: '/part', subPath: file }],
  })
  const map = { configMap: { name: 'map' } }
  return [
    part('configmap pod', map, 'data-1', 'value-1'),
    part('secret pod', { secret: { secretName: 'secret' } }, 'data-1', 'value-1'),
    part('downward pod', { downwardAPI: field('metadata.name') }, 'f', '$pod'),
    part('projected pod', { projected: { sources: [map] } }, 'data-1', 'value-1'),
    {
      names: name('configmap pod with mountPath of existing file'),
      ...{ volumes: [{ name: 'v', ...map }], script: 'cat /etc/hostname', says: 'value-1' },
      mounts: [{ name: 'v', mountPath: '/etc/hostname', subPath: 'data-1' }],
    },
  ]
}

const others: readonly Behaviour[] = [
  {
    names: ['ConfigMap binary data should be reflected in volume'],
    volumes: [{ name: 'v', configMap: { name: 'map' } }],
    ...{ script: 'od -An -tx1 /v/bytes', says: ' de ca fe ba d0 fe ff\n' },
  },
  {
    names: ['Projected combined should project all components that make up the projection API'],
    volumes: [
      {
        name: 'v',
        projected: {
          sources: [
            { configMap: { name: 'map', items: [{ key: 'data-1', path: 'map' }] } },
            { secret: { name: 'secret', items: [{ key: 'data-2', path: 'secret' }] } },
            { downwardAPI: field('metadata.name') },
            { serviceAccountToken: { path: 'token' } },
          ],
        },
      },
    ],
    ...{ script: 'cd /v; cat map secret f; head -c 2 token', says: 'value-1value-2$podey' },
  },
  {
    names: ['EmptyDir wrapper volumes should not conflict'],
    volumes: [
      { name: 'v', secret: { secretName: 'secret' } },
      { name: 'w', configMap: { name: 'map' } },
    ],
    mounts: [...AT, { name: 'w', mountPath: '/w' }],
    ...{ script: 'cat /v/data-1 /w/data-2', says: 'value-1value-2' },
  },
  {
    names: ['EmptyDir wrapper volumes should not cause race condition when used for configmaps'],
    volumes: Array.from({ length: 30 }, (_, index) => ({ name: `v${index}`, configMap: { name: 'map' } })),
    mounts: Array.from({ length: 30 }, (_, index) => ({ name: `v${index}`, mountPath: `/many/${index}` })),
    ...{ script: 'cat /many/*/data-1 | wc -c', says: `${30 * 'value-1'.length}\n` },
  },
]

/** Every file that a volume shows, as `volume/file:line`. */
const LOOK = 'cd /all; for f in */*; do [ -f "$f" ] && { sed "s|^|$f:|" "$f"; echo; }; done; true'

const behaviours = [...ofKeys(), ...ofDownward(), ...ofEmptyDirs(), ...ofSubPaths(), ...others]

const podOf = (name: string, { volumes, mounts = AT, script, spec, container }: Behaviour) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { says: '' } } },
  spec: {
    ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0, volumes, ...spec },
    containers: [
      {
        ...{ name: 'main', image: 'localhost/shell', volumeMounts: mounts, ...container },
        command: ['/bin/sh', '-ec', script],
      },
    ],
  },
})

describe('volumes of files', { skip: isRoot ? false : 'mounting needs root on Linux' }, () => {
  let cluster: TestCluster
  let pods: PodResults
  let allocatable = { cpu: '', memory: '' }
  const read = (path: string, ...what: string[]) =>
    cluster.kubectl.ok(['get', ...what, '-o', `jsonpath={${path}}`])
  const apply = (...items: object[]) =>
    cluster.kubectl.ok(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
  before(async () => {
    cluster = await installCluster()
    pods = podResults(cluster.kubectl)
    await apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'map' }, data: DATA, binaryData: { bytes } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'secret' }, stringData: DATA },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } },
      {
        ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'secret', namespace: 'other' } },
        stringData: { 'data-1': 'of another namespace' },
      },
    )
    const { cpu, memory } = JSON.parse(await read('.status.allocatable', 'node', 'node-1'))
    const kibibytes = must(/^(\d+)Ki$/.exec(memory)?.[1], 'memory in Ki')
    allocatable = { cpu, memory: String(Number(kibibytes) * 1024) }
    await apply(...behaviours.map((each, index) => podOf(`pod-${index}`, each)))
  })
  after(() => cluster?.remove())

  for (const [index, { names, says }] of behaviours.entries()) {
    test(names.join('; '), async () => {
      const pod = `pod-${index}`
      const ended = await pods.when(pod, 'its end', hasEnded)
      const said = await pods.logOf(pod)
      assert.equal(phaseOf(ended), 'Succeeded', said)
      const wanted = says.replace('$pod', pod).replace('$cpu', allocatable.cpu)
      assert.equal(said.trimEnd(), wanted.replace('$memory', allocatable.memory).trimEnd())
    })
  }
  test('Secrets should be able to mount in a volume regardless of a different secret existing with same name in different namespace', async () => {
    const volumes = [{ name: 'v', secret: { secretName: 'secret' } }]
    const pod = podOf('elsewhere', { names: [], volumes, script: 'cat /v/data-1', says: '' })
    await apply({ ...pod, metadata: { ...pod.metadata, namespace: 'other' } })
    await until('it has read its own', async () =>
      (await cluster.kubectl.try(['logs', '-n', 'other', 'elsewhere'])).stdout.startsWith('of another'),
    )
  })

  test('EmptyDir volumes pod should support shared volumes between containers', async () => {
    const volumes = [{ name: 'v', emptyDir: {} }]
    const script = 'until [ -e /v/done ]; do sleep 0.1; done; cat /v/f'
    const pod = podOf('shared', { names: [], volumes, script, says: '' })
    const writer = { ...must(pod.spec.containers[0], 'a container'), name: 'writer' }
    const command = ['/bin/sh', '-ec', 'echo from the other >/v/f; touch /v/done']
    await apply({
      ...pod,
      spec: { ...pod.spec, containers: [...pod.spec.containers, { ...writer, command }] },
    })
    await until('one reads what the other wrote', async () =>
      (await cluster.kubectl.try(['logs', 'shared', '-c', 'main'])).stdout.startsWith('from the other'),
    )
  })

  for (const kind of ['ConfigMap', 'Secrets']) {
    test(`${kind} should be immutable if \`immutable\` field is set`, async () => {
      const resource = kind === 'ConfigMap' ? 'configmap' : 'secret'
      const words = kind === 'ConfigMap' ? [resource] : [resource, 'generic']
      await cluster.kubectl.ok(['create', ...words, 'fixed', '--from-literal=k=one'])
      const patch = (what: object) =>
        cluster.kubectl.try(['patch', resource, 'fixed', '-p', JSON.stringify(what)])
      assert.equal((await patch({ immutable: true })).code, 0)
      for (const what of [{ data: { k: 'dHdv' } }, { immutable: false }]) {
        assert.match((await patch(what)).stderr, /field is immutable when `immutable` is set/)
      }
      assert.equal((await patch({ metadata: { labels: { still: 'free' } } })).code, 0)
      await cluster.kubectl.ok(['delete', resource, 'fixed'])
    })
  }

  describe('a pod that watches its volumes', () => {
    const both = (name: string, value: string) => [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { key: value } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { key: value } },
    ]
    const sees = async (what: string, isSo: (lines: readonly string[]) => boolean) => {
      const command = ['exec', 'watcher', '--', 'sh', '-c', LOOK]
      await until(what, async () => isSo((await cluster.kubectl.try(command)).stdout.split('\n')))
    }
    before(async () => {
      await apply(...both('updated', 'old'), ...both('deleted', 'old'))
      const volumes = watchedVolumes()
      const mounts = volumes.map(({ name }) => ({ name, mountPath: `/all/${name}` }))
      await apply(podOf('watcher', { names: [], volumes, mounts, script: 'exec sleep 600', says: '' }))
      await sees('what there is', lines => SORTS.every(sort => lines.includes(`deleted-${sort}/key:old`)))
      await cluster.kubectl.ok(['delete', 'configmap/deleted', 'secret/deleted'])
      await apply(...both('updated', 'new'), ...both('created', 'new'))
      await cluster.kubectl.ok(['label', 'pod', 'watcher', 'colour=blue'])
      await cluster.kubectl.ok(['annotate', 'pod', 'watcher', 'builder=foo'])
    })

    for (const [label, sort] of [
      ['ConfigMap', 'map'],
      ['Secrets', 'secret'],
      ['Projected configMap', 'pmap'],
      ['Projected secret', 'psecret'],
    ] as const) {
      test(`${label} updates should be reflected in volume`, () =>
        sees('the new value', lines => lines.includes(`updated-${sort}/key:new`)))

      test(`${label} optional updates should be reflected in volume`, () =>
        sees('one that came and none that went', lines => {
          const isGone = !lines.some(line => line.startsWith(`deleted-${sort}/`))
          return isGone && lines.includes(`created-${sort}/key:new`)
        }))
    }

    for (const [label, volume] of [
      ['Downward API volume', 'down'],
      ['Projected downwardAPI', 'pdown'],
    ] as const) {
      test(`${label} should update labels on modification`, () =>
        sees('the label', lines => lines.includes(`${volume}/labels:colour="blue"`)))

      test(`${label} should update annotations on modification`, () =>
        sees('the annotation', lines => lines.includes(`${volume}/annotations:builder="foo"`)))
    }
  })
})

const SORTS = ['map', 'secret', 'pmap', 'psecret']

function watchedVolumes() {
  const each = (name: string) => [
    { name: `${name}-map`, configMap: { name, optional: true } },
    { name: `${name}-secret`, secret: { secretName: name, optional: true } },
    { name: `${name}-pmap`, projected: { sources: [{ configMap: { name, optional: true } }] } },
    { name: `${name}-psecret`, projected: { sources: [{ secret: { name, optional: true } }] } },
  ]
  const own = field('metadata.labels', { path: 'labels' })
  const items = [...own.items, ...field('metadata.annotations', { path: 'annotations' }).items]
  return [
    ...['updated', 'deleted', 'created'].flatMap(each),
    { name: 'down', downwardAPI: { items } },
    { name: 'pdown', projected: { sources: [{ downwardAPI: { items } }] } },
  ]
}
