/** `mk8s images` on a node of each runtime that has images, with archives that the test makes. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { must } from '../../src/base/assert.ts'
import { renderTar } from '../../src/base/tar.ts'
import { renderOciArchive } from '../../src/runtime/images/oci-archive.ts'
import { MK8S } from '../support/cluster.ts'
import { architecture, NetworkNamespace } from '../support/containerd.ts'
import { run } from '../support/kubectl.ts'
import { realRuntimes } from '../support/oci.ts'
import { startServers, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const archiveOf = (name: string) =>
  renderOciArchive({
    name,
    architecture: architecture(),
    files: [{ type: 'file', name: 'named', mode: 0o644, content: Buffer.from(name) }],
  })

const LIST = { type: 'file', name: 'manifest.json', mode: 0o644 } as const
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** As `docker save` writes it: one layer packed, the next one plain, the last one the same by a link. */
function dockerArchive(tags: readonly string[], third = 'two'): Buffer {
  const entry = (name: string, content: Buffer) => ({ type: 'file', name, mode: 0o644, content }) as const
  const layers = ['one', 'two'].map(word => renderTar([entry(word, Buffer.from(word))]))
  const [one = Buffer.alloc(0), two = Buffer.alloc(0)] = layers
  const diffs = [one, two, renderTar([entry(third, Buffer.from(third))])].map(
    layer => `sha256:${sha256(layer)}`,
  )
  const rootfs = { type: 'layers', diff_ids: diffs }
  const config = Buffer.from(
    JSON.stringify({ architecture: architecture(), os: 'linux', config: {}, rootfs }),
  )
  const paths = ['one.tar.gz', 'two/layer.tar', 'three/layer.tar']
  const list = [{ Config: 'config.json', RepoTags: tags, Layers: paths }]
  return renderTar([
    entry('config.json', config),
    entry('one.tar.gz', gzipSync(one)),
    entry('two/layer.tar', two),
    { type: 'link', name: 'three/layer.tar', target: 'two/layer.tar' },
    { ...LIST, content: Buffer.from(JSON.stringify(list)) },
  ])
}

/** A registry inside of the namespace. */
async function startProcess(enter: readonly [string, ...string[]], args: readonly string[]) {
  const [program, ...words] = enter
  const path = join(import.meta.dirname, '../support/registry-program.ts')
  const child = spawn(program, [...words, process.execPath, path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const host = (await new Promise<string>(resolve => child.stdout.once('data', resolve))).toString().trim()
  return { host, end: () => child.kill('SIGKILL') }
}

for (const { runtime, why } of realRuntimes()) {
  describe(`images of a node with ${runtime}`, { skip: why ?? false }, () => {
    let namespace: NetworkNamespace
    let parent = ''
    let dataDir = ''

    let secured: Awaited<ReturnType<typeof startProcess>> | undefined

    /** A plugin that knows a login for the registry, and counts how often it is asked. */
    const pluginFor = (host: string) => {
      const answer = {
        ...{ kind: 'CredentialProviderResponse', apiVersion: 'credentialprovider.kubelet.k8s.io/v1' },
        ...{ cacheKeyType: 'Registry', cacheDuration: '10m' },
        auth: { [host]: { username: 'ann', password: 'by-plugin' } },
      }
      const program = file(
        'plugin',
        Buffer.from(`#!/bin/sh\ncat >>${parent}/asked\necho '${JSON.stringify(answer)}'\n`),
      )
      chmodSync(program, 0o755)
      const config = {
        ...{ kind: 'CredentialProviderConfig', apiVersion: 'kubelet.config.k8s.io/v1' },
        providers: [
          {
            ...{ name: 'plugin', matchImages: [host], defaultCacheDuration: '0s' },
            apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
          },
        ],
      }
      return file('plugins.yaml', Buffer.from(JSON.stringify(config)))
    }
    const start = async (args: readonly string[]) => {
      const [enter, ...words] = namespace.enter
      return run(enter, [...words, MK8S, ...args], { env: { MK8S_DATA_DIR: dataDir } })
    }
    const mk8s = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await start(args)
      assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}`)
      return stdout
    }
    const names = async () => {
      const images = JSON.parse(await mk8s('images', 'list', '--json')) as { names: string[] }[]
      return images.flatMap(image => image.names).filter(name => name.startsWith('localhost/t/'))
    }
    const file = (name: string, bytes: Uint8Array) => {
      const path = join(parent, name)
      writeFileSync(path, bytes)
      return path
    }

    before(async () => {
      namespace = new NetworkNamespace('images')
      parent = mkdtempSync(join(tmpdir(), 'mk8s-images-'))
      dataDir = join(parent, 'data')
      const settings = ['--runtime', runtime, '--bind-address', namespace.address, '--node-name', 'n1']
      const torn = file('torn.yaml', Buffer.from('mirrors: {first.invalid: {endpoint: nowhere}}'))
      const { code, stderr } = await start(['install', ...settings, '--registries', torn])
      assert.deepEqual([code, existsSync(dataDir)], [2, false])
      assert.match(stderr, /torn\.yaml cannot be used/)
      const auth = { username: 'ann', password: 'whisper' }
      secured = await startProcess(namespace.enter, ['127.0.0.1', 'team/plugged', 'ann', 'by-plugin'])
      const mirrors = { 'first.invalid': { endpoint: ['http://127.0.0.1:9/v2'] } }
      const document = JSON.stringify({ mirrors, configs: { 'first.invalid': { auth } } })
      const plugins = ['--image-credential-provider-config', pluginFor(secured.host)]
      await mk8s(
        ...['install', ...settings, ...plugins],
        ...['--registries', file('first.yaml', Buffer.from(document))],
      )
    })
    after(async () => {
      await start(['uninstall', '--yes'])
      secured?.end()
      namespace.remove()
      rmSync(parent, { recursive: true, force: true })
    })

    test("registries that were given at install are the cluster's, and no file has their passwords", async () => {
      assert.match(await mk8s('registry', 'list'), /first\.invalid +http:\S+ +credentials/)
      const open = readdirSync(dataDir, { withFileTypes: true }).filter(entry => entry.isFile())
      for (const { name } of open) {
        assert.ok(!readFileSync(join(dataDir, name), 'utf8').includes('whisper'), name)
      }
      await mk8s('registry', 'remove', 'first.invalid')
    })

    test('archives of a directory come in, compressed or not, and go out and in again', async () => {
      const archives = join(parent, 'archives')
      mkdirSync(archives)
      writeFileSync(join(archives, 'a.tar'), archiveOf('localhost/t/a:1'))
      writeFileSync(join(archives, 'b.tar.gz'), gzipSync(archiveOf('localhost/t/b:1')))
      writeFileSync(join(archives, 'c.tar.zst'), zstdCompressSync(archiveOf('localhost/t/c:1')))
      writeFileSync(join(archives, 'notes.txt'), 'no archive')
      await mk8s('images', 'import', archives)
      const all = ['a', 'b', 'c'].map(name => `localhost/t/${name}:1`)
      assert.deepEqual((await names()).sort(), all)
      const out = join(parent, 'out.tar')
      await mk8s('images', 'export', 'localhost/t/a:1', 'localhost/t/b:1', '-o', out)
      await mk8s('images', 'remove', ...all)
      assert.deepEqual(await names(), [])
      assert.match(await mk8s('images', 'import', out), /imported localhost\/t\/b:1/)
      assert.deepEqual((await names()).sort(), all.slice(0, 2))
      await mk8s('images', 'rm', ...all.slice(0, 2))
    })

    test('docker archives come in with all their tags, links and packed layers, and are called by id too', async () => {
      await mk8s(
        'images',
        'import',
        file('docker.tar', dockerArchive(['localhost/t/d:1', 'localhost/t/d:2'])),
      )
      assert.deepEqual((await names()).sort(), ['localhost/t/d:1', 'localhost/t/d:2'])
      const listed = (await mk8s('images', 'list'))
        .split('\n')
        .find(line => line.startsWith('localhost/t/d:2'))
      const id = must(listed?.split(/ +/)[1], 'an id')
      const nowhere = await start(['images', 'export', id, '-o', join(parent, 'nowhere', 'out.tar')])
      assert.equal(nowhere.code, 2)
      assert.match(nowhere.stderr, /nowhere\/out\.tar cannot be written/)
      const out = join(parent, 'by-id.tar')
      await mk8s('images', 'export', id, '-o', out)
      assert.equal((await mk8s('images', 'remove', id)).trim().split('\n').length, 2)
      const layout = join(parent, 'layout')
      mkdirSync(layout)
      execFileSync('tar', ['-xf', out, '-C', layout])
      await mk8s('images', 'import', layout)
      const [name] = await names()
      assert.match(name ?? '', /^localhost\/t\/d:[12]$/)
      await mk8s('images', 'remove', name ?? '')
    })

    test('a damaged archive is refused by name of what is wrong, and changes nothing', async () => {
      const whole = archiveOf('localhost/t/damaged:1')
      const flipped = Buffer.from(whole)
      flipped.write('X', whole.indexOf('localhost/t/damaged:1', whole.indexOf('named')))
      const torn = gzipSync(whole)
      const damaged = {
        'flipped.tar': flipped,
        'torn.tar.gz': torn.subarray(0, torn.length / 2),
        'short.tar': whole.subarray(0, 1_500),
        'text.tar': Buffer.from('this is no archive'),
        'empty.tar': Buffer.alloc(0),
        'null.tar': renderTar([{ ...LIST, content: Buffer.from('null') }]),
        'other.tar': renderTar([{ ...LIST, content: Buffer.from('[{"Config":1,"Layers":2}]') }]),
        'unfit.tar': dockerArchive(['localhost/t/unfit:1', 'localhost/t/unfit:2'], 'another layer'),
        'misnamed.tar': dockerArchive(['localhost/t/No Name:1']),
      }
      for (const [name, bytes] of Object.entries(damaged)) {
        const { code, stderr } = await start(['images', 'import', file(name, bytes)])
        assert.equal(code, 2, `${name}: ${stderr}`)
        assert.match(stderr, /\.tar\S* (cannot be imported|is empty|holds no image)/, name)
        assert.doesNotMatch(stderr, /destructure|iterable|argument|destroyed/, name)
      }
      assert.deepEqual(await names(), [])
      const { code, stderr } = await start(['images', 'remove', 'localhost/t/none:1'])
      assert.equal(code, 6)
      assert.match(stderr, /there is no image localhost\/t\/none:1/)
    })

    test('archives that lie in the directory come in by themselves, and damaged ones are named', async () => {
      const directory = join(dataDir, 'images')
      writeFileSync(join(directory, 'torn.tar'), archiveOf('localhost/t/torn:1').subarray(0, 1_500))
      writeFileSync(join(directory, 'side.tar'), archiveOf('localhost/t/side:1'))
      await until('the whole one is there', async () => (await names()).includes('localhost/t/side:1'))
      await until('the damaged one is named', async () =>
        /torn\.tar.*cannot be imported/s.test((await start(['status'])).stdout),
      )
      rmSync(join(directory, 'torn.tar'))
      rmSync(join(directory, 'side.tar'))
      await mk8s('images', 'remove', 'localhost/t/side:1')
    })

    test('a pod gets its image from the mirror that the cluster was told of, with its credentials', async () => {
      const mirror = await startProcess(namespace.enter, [namespace.address, 'hub/web', 'ann', 'hush'])
      try {
        const document = {
          mirrors: {
            'registry.invalid': { endpoint: [`http://${mirror.host}/v2/hub`], rewrite: { '^team/': '' } },
          },
          configs: { [mirror.host]: { auth: { username: 'ann', password: 'hush' } } },
        }
        // containerd rewrites no names.
        const image = runtime === 'oci' ? 'registry.invalid/team/web:1' : 'registry.invalid/web:1'
        await mk8s('registry', 'add', '-f', file('registries.yaml', Buffer.from(JSON.stringify(document))))
        assert.match(await mk8s('registry', 'list'), /registry\.invalid +http:\S+ +- +-\n/)
        assert.ok(!(await mk8s('registry', 'list', '--json')).includes('hush'))
        await until('the account is there', async () => {
          return (await start(['kubectl', 'get', 'serviceaccount', 'default'])).code === 0
        })
        await mk8s('kubectl', 'run', 'web', '--image', image, '--restart=Never')
        await until('the image is there', async () => (await mk8s('images', 'list')).includes(image))
        const { stdout } = await start([
          'kubectl',
          'get',
          'configmap,secret',
          '-n',
          'kube-system',
          '-o',
          'yaml',
        ])
        assert.ok(!stdout.includes('hush'))
        assert.ok(!readFileSync(join(dataDir, 'daemon.log'), 'utf8').includes('hush'))
        await mk8s('registry', 'remove', 'registry.invalid', mirror.host)
        assert.match(await mk8s('registry', 'list'), /nothing is configured/)
        await mk8s('kubectl', 'delete', 'pod', 'web', '--force')
      } finally {
        mirror.end()
      }
    })

    test('a plugin of the node has a login for a registry, and is asked once', async () => {
      const image = `${secured?.host}/team/plugged:1`
      await until('the account is there', async () => {
        return (await start(['kubectl', 'get', 'serviceaccount', 'default'])).code === 0
      })
      for (const name of ['plugged-1', 'plugged-2']) {
        await mk8s('kubectl', 'run', name, '--image', image, '--image-pull-policy=Always', '--restart=Never')
        await until('it has pulled', async () =>
          /Successfully pulled image/.test(
            (await start(['kubectl', 'events', '--for', `pod/${name}`])).stdout,
          ),
        )
      }
      const [asked, ...more] = readFileSync(join(parent, 'asked'), 'utf8').trim().split('}')
      assert.equal(JSON.parse(`${asked}}`).image, `${secured?.host}/team/plugged`)
      assert.deepEqual(more, [''])
      assert.ok(!readFileSync(join(dataDir, 'daemon.log'), 'utf8').includes('by-plugin'))
      await mk8s('kubectl', 'delete', 'pod', 'plugged-1', 'plugged-2', '--force')
    })

    test('an image that a pod uses is not removed but by force, and the pod is named', async () => {
      await mk8s('images', 'import', '--busybox', 'localhost/t/used:1')
      await until('the account is there', async () => {
        return (await start(['kubectl', 'get', 'serviceaccount', 'default'])).code === 0
      })
      const words = ['--image', 'localhost/t/used:1', '--restart=Never', '--', 'sleep', '600']
      await mk8s('kubectl', 'run', 'user', ...words)
      await mk8s('kubectl', 'wait', 'pod/user', '--for=condition=Ready', '--timeout=60s')
      const { code, stderr } = await start(['images', 'remove', 'localhost/t/used:1'])
      assert.equal(code, 6)
      assert.match(stderr, /the image localhost\/t\/used:1 is in use.*default\/user/s)
      const everywhere = await start(['images', 'remove', 'localhost/t/used:1', '--all-nodes'])
      assert.match(everywhere.stdout, /not removed from n1: .* in use/)
      const forced = await mk8s('images', 'remove', 'localhost/t/used:1', '--all-nodes', '--force')
      assert.match(forced, /removed localhost\/t\/used:1 from n1/)
      assert.match(await mk8s('images', 'remove', 'localhost/t/used:1', '--all-nodes'), /n1 has none of them/)
      await mk8s('kubectl', 'delete', 'pod', 'user', '--force')
    })

    test('a daemon that is killed during an import leaves nothing of it', async () => {
      const pidFile = join(dataDir, 'run', 'daemon.pid')
      const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10)
      const bytes = Buffer.concat([archiveOf('localhost/t/killed:1'), Buffer.alloc(64 * 1024 * 1024)])
      const importing = start(['images', 'import', file('large.tar', bytes)])
      const spool = join(dataDir, 'image-spool')
      await until('it has begun', () => readdirSync(spool).length > 0)
      process.kill(pid, 'SIGKILL')
      assert.notEqual((await importing).code, 0)
      await until('it is started again', async () => (await start(['status'])).code === 0)
      await mk8s('status', '--wait-ready', '--timeout', '60')
      assert.deepEqual([readdirSync(spool), await names()], [[], []])
    })
  })
}

describe('an archive for all nodes', () => {
  let servers: TestServers
  before(async () => {
    servers = await startServers({ count: 2, runtime: 'process' })
  })
  after(() => servers?.remove())

  test('it gets to each of them, and each one that has no images says so', async () => {
    const first = must(servers.nodes[0], 'the first node')
    const parent = mkdtempSync(join(tmpdir(), 'mk8s-images-'))
    try {
      const path = join(parent, 'a.tar')
      writeFileSync(path, archiveOf('localhost/t/a:1'))
      const { code, stdout } = await first.mk8s(['images', 'import', path, '--all-nodes', '--json'])
      assert.equal(code, 1, stdout)
      const { nodes } = JSON.parse(stdout) as { nodes: { node: string; problem: string }[] }
      assert.deepEqual(
        nodes.map(({ node }) => node),
        ['n1', 'n2'],
      )
      for (const { problem } of nodes) assert.match(problem, /^the runtime process has no images/)
      const removed = await first.mk8s(['images', 'remove', 'localhost/t/a:1', '--all-nodes'])
      assert.equal(removed.code, 1)
      assert.match(
        removed.stdout,
        /not removed from n1: .*\nnot removed from n2: the runtime process has no images/,
      )
    } finally {
      rmSync(parent, { recursive: true, force: true })
    }
  })
})
