/** `mk8s enable registry` on a node of each runtime that has images: push with skopeo, run, repair, collect, keep. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { findProgram } from '../../src/host/container-programs.ts'
import { busyboxImage } from '../../src/runtime/images/busybox-image.ts'
import { makeOlder } from '../support/addon-repository.ts'
import { MK8S } from '../support/cluster.ts'
import { architecture, NetworkNamespace } from '../support/containerd.ts'
import { KUBECTL, kubectlFor, run } from '../support/kubectl.ts'
import { realRuntimes } from '../support/oci.ts'
import { until } from '../support/until.ts'

const HOST = 'localhost:32000'
const ASK = `fetch('http://${HOST}/v2/').then(async got => process.stdout.write(await got.text()))`
const noSkopeo = findProgram('skopeo') === undefined ? 'not installed: skopeo' : undefined

for (const { runtime, why } of realRuntimes()) {
  describe(`the registry of a node with ${runtime}`, { skip: why ?? noSkopeo ?? false }, () => {
    let namespace: NetworkNamespace
    let parent = ''
    let dataDir = ''
    let kubectl: ReturnType<typeof kubectlFor>

    const inside = async (program: string, ...args: readonly string[]) => {
      const [enter, ...words] = namespace.enter
      const { code, stdout, stderr } = await run(enter, [...words, program, ...args], {
        env: { MK8S_DATA_DIR: dataDir },
      })
      assert.equal(code, 0, `${program} ${args.join(' ')}: ${stdout}${stderr}`)
      return stdout
    }
    const mk8s = (...args: readonly string[]) => inside(MK8S, ...args)
    const answers = () =>
      until('the registry answers', async () => {
        const got = await inside(process.execPath, '-e', ASK).catch(() => '')
        return got === '{}'
      })

    before(async () => {
      namespace = new NetworkNamespace('registry')
      parent = mkdtempSync(join(tmpdir(), 'mk8s-registry-'))
      dataDir = join(parent, 'data')
      const settings = ['--runtime', runtime, '--bind-address', namespace.address, '--node-name', 'n1']
      await mk8s('install', ...settings)
      kubectl = kubectlFor(join(dataDir, 'admin.kubeconfig'), KUBECTL, namespace.enter)
      await mk8s('enable', 'registry:2Gi')
    })
    after(async () => {
      await mk8s('uninstall', '--yes')
      namespace.remove()
      rmSync(parent, { recursive: true, force: true })
    })

    test('an image is pushed, pulled by tag and by digest, and runs', async () => {
      const name = `${HOST}/team/busybox:v1`
      const archive = join(parent, 'busybox.tar')
      writeFileSync(archive, await busyboxImage(name, architecture()))
      await inside('skopeo', 'copy', '--dest-tls-verify=false', `oci-archive:${archive}`, `docker://${name}`)
      const inspected = await inside('skopeo', 'inspect', '--tls-verify=false', `docker://${name}`)
      const { Digest: digest } = JSON.parse(inspected) as { Digest: string }
      await until(
        'the service account is there',
        async () => (await kubectl.try(['get', 'sa', 'default'])).code === 0,
      )
      const images = { tag: name, digest: `${HOST}/team/busybox@${digest}` }
      for (const [pod, image] of Object.entries(images)) {
        await kubectl.ok(['run', pod, '--image', image, '--restart=Never', '--', 'true'])
      }
      for (const pod of Object.keys(images)) {
        await kubectl.ok(['wait', `pod/${pod}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s'])
      }
    })

    test('with tls=cluster it has a certificate that nodes trust, and plain HTTP is over', async () => {
      await mk8s('enable', 'registry', '--set', 'tls=cluster')
      const name = `${HOST}/team/busybox:v1`
      const secret = ['-n', 'container-registry', 'get', 'secret', 'cluster']
      const ca = await kubectl.ok([...secret, '-o', 'jsonpath={.data.ca\\.crt}'])
      const trusted = mkdtempSync(join(parent, 'trusted-'))
      writeFileSync(join(trusted, 'ca.crt'), Buffer.from(ca, 'base64'))
      for (const host of [HOST, `${namespace.address}:32000`]) {
        const image = `docker://${host}/team/busybox:v1`
        await until(`${host} answers`, () =>
          inside('skopeo', 'inspect', '--cert-dir', trusted, image).then(
            () => true,
            () => false,
          ),
        )
      }
      assert.notEqual(await inside(process.execPath, '-e', ASK).catch(() => ''), '{}')
      const always = '--image-pull-policy=Always'
      await kubectl.ok(['run', 'safe', '--image', name, always, '--restart=Never', '--', 'true'])
      await kubectl.ok(['wait', 'pod/safe', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s'])
      await mk8s('enable', 'registry', '--set', 'tls=')
      await answers()
      await until('the certificate is gone', async () => (await kubectl.try(secret)).code !== 0)
    })

    // What follows is the same with every runtime.
    if (runtime !== 'oci') return

    test('a part that somebody deletes comes back, and a daemon that was killed serves it again', async () => {
      await kubectl.ok(['-n', 'container-registry', 'delete', 'service', 'registry'])
      await answers()
      process.kill(Number.parseInt(readFileSync(join(dataDir, 'run/daemon.pid'), 'utf8'), 10), 'SIGKILL')
      await answers()
      const hosting = await kubectl.ok([
        '-n',
        'kube-public',
        'get',
        'cm',
        'local-registry-hosting',
        '-o',
        'yaml',
      ])
      assert.match(hosting, /host: "localhost:32000"/)
    })

    test('an upgrade keeps the images', async () => {
      await makeOlder(kubectl, 'registry')
      await mk8s('addons', 'upgrade', 'registry')
      await answers()
      await inside('skopeo', 'inspect', '--tls-verify=false', `docker://${HOST}/team/busybox:v1`)
    })

    test('garbage goes when it is asked to, and images stay over disable and enable', async () => {
      await answers()
      const volumes = join(dataDir, 'volumes')
      const [volume] = readdirSync(volumes)
      const blobs = () =>
        readdirSync(join(volumes, must(volume, 'a volume'), 'registry/blobs'), {
          recursive: true,
          withFileTypes: true,
        }).filter(entry => entry.isFile()).length
      assert.equal(blobs(), 3)
      await mk8s('disable', 'registry')
      await mk8s('enable', 'registry')
      await answers()
      assert.match(await mk8s('registry', 'gc', '--grace', '1s'), /collected 0 blobs/)
      const name = `docker://${HOST}/team/busybox:v1`
      await inside('skopeo', 'delete', '--tls-verify=false', name)
      const collected = JSON.parse(await mk8s('registry', 'gc', '--grace', '1s', '--json')) as {
        blobs: number
      }
      assert.equal(collected.blobs, 3)
      assert.equal(blobs(), 0)
      await mk8s('disable', 'registry', '--purge')
      await until('the volume is gone', () => readdirSync(volumes).length === 0)
    })
  })
}
