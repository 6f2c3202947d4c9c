/** What kubectl streams to and from real containers, in a network namespace of its own. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MK8S } from '../support/cluster.ts'
import { NetworkNamespace } from '../support/containerd.ts'
import { KUBECTL, type Kubectl, kubectlFor, run } from '../support/kubectl.ts'
import { realRuntimes } from '../support/oci.ts'
import { until } from '../support/until.ts'

const IMAGE = 'localhost/test/busybox:1'

const pod = (name: string, script: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 1,
    restartPolicy: 'Never',
    containers: [{ name: 'main', image: IMAGE, command: ['sh', '-c', script], ...more }],
  },
})
const WEB =
  'mkdir /www; head -c 2000000 /dev/zero >/www/large; echo hi >/www/small; exec httpd -f -p 8080 -h /www'
const ECHO = 'while read line; do echo "got $line"; done; echo over'
const pods = [pod('web', WEB), pod('reader', ECHO, { stdin: true })]

for (const { runtime, why } of realRuntimes()) {
  describe(`kubectl and containers of ${runtime}`, { skip: why ?? false }, () => {
    let namespace: NetworkNamespace
    let parent = ''
    let dataDir = ''
    let kubectl: Kubectl
    const mk8s = async (...args: string[]) => {
      const [enter, ...words] = namespace.enter
      const ran = await run(enter, [...words, MK8S, ...args], { env: { MK8S_DATA_DIR: dataDir } })
      assert.equal(ran.code, 0, `mk8s ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    }
    /** A kubectl that goes on, and all that it has said so far. */
    const start = (...args: string[]) => {
      const [enter, ...words] = namespace.enter
      const child = spawn(enter, [
        ...words,
        KUBECTL,
        '--kubeconfig',
        join(dataDir, 'admin.kubeconfig'),
        ...args,
      ])
      const said = { text: '' }
      for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said.text += chunk))
      const closed = new Promise<number>(resolve => child.on('close', code => resolve(code ?? 1)))
      return { child, said, closed }
    }

    before(async () => {
      namespace = new NetworkNamespace('streams')
      parent = mkdtempSync(join(tmpdir(), 'mk8s-streams-'))
      dataDir = join(parent, 'data')
      await mk8s('install', '--runtime', runtime, '--bind-address', namespace.address, '--node-name', 'n1')
      await mk8s('images', 'import', '--busybox', IMAGE)
      kubectl = kubectlFor(join(dataDir, 'admin.kubeconfig'), KUBECTL, namespace.enter)
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: pods })
      await kubectl.ok(['create', '-f', '-'], { input })
      await kubectl.ok(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
    })
    after(async () => {
      if (existsSync(dataDir)) await mk8s('uninstall', '--yes')
      namespace.remove()
      rmSync(parent, { recursive: true, force: true })
    })

    test('attach shows the output, passes the input on, and leaves when the program does', async () => {
      const { child, said, closed } = start('attach', '-i', 'reader')
      await until('the input arrives', () => {
        child.stdin.write('one\n')
        return said.text.includes('got one')
      })
      child.kill('SIGKILL')
      await closed
      assert.equal(await kubectl.ok(['get', 'pod', 'reader', '-o', 'jsonpath={.status.phase}']), 'Running')
      const again = start('attach', '-i', 'reader')
      await until('it is attached again', () => {
        again.child.stdin.write('two\n')
        return again.said.text.includes('got two')
      })
      again.child.kill('SIGKILL')
      await again.closed
    })

    test('port-forward carries several connections at a time', async () => {
      const { child, said, closed } = start('port-forward', 'pod/web', ':8080')
      const port = await until('it listens', () => /127\.0\.0\.1:(\d+)/.exec(said.text)?.[1])
      const [enter, ...words] = namespace.enter
      const fetch = (path: string) =>
        run(enter, [...words, '/bin/busybox', 'wget', '-qO-', `http://127.0.0.1:${port}/${path}`])
      const answers = await Promise.all(['large', 'small', 'large', 'small'].map(fetch))
      assert.deepEqual(
        answers.map(({ stdout }) => stdout.length),
        [2_000_000, 3, 2_000_000, 3],
      )
      child.kill('SIGINT')
      await closed
    })

    test('port-forward to a port where nobody listens says so, once', async () => {
      const { child, said, closed } = start('port-forward', 'pod/web', ':9')
      const port = await until('it listens', () => /127\.0\.0\.1:(\d+)/.exec(said.text)?.[1])
      const [enter, ...words] = namespace.enter
      const wget = ['/bin/busybox', 'timeout', '20', '/bin/busybox', 'wget', '-qO-']
      const fetched = await run(enter, [...words, ...wget, `http://127.0.0.1:${port}/`])
      await until('it tells', () => {
        if (/refused/.test(said.text)) return true
        throw new Error(`kubectl: ${said.text}; wget (${fetched.code}): ${fetched.stderr}`)
      })
      assert.match(
        said.text,
        /error forwarding port 9 to pod web, uid [0-9a-f-]{36}: failed to execute portforward/,
      )
      child.kill('SIGKILL')
      await closed
    })

    test('cp carries files of any bytes both ways', async () => {
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) & 255))
      writeFileSync(join(parent, 'there'), bytes)
      await kubectl.ok(['cp', join(parent, 'there'), 'web:/tmp/it'])
      await kubectl.ok(['cp', 'web:/tmp/it', join(parent, 'back')])
      assert.ok(readFileSync(join(parent, 'back')).equals(bytes))
    })

    test('exec of what is not there fails in the words of the runtime', async () => {
      const { code, stderr } = await kubectl.try(['exec', 'web', '--', 'nope'])
      assert.equal(code, 1)
      assert.match(
        stderr,
        /error executing command in container: failed to exec in container: (?:failed to start exec "[0-9a-f]{64}": OCI|exec: )/,
      )
      assert.match(stderr, /exec: "nope": executable file not found in \$PATH/)
      assert.equal((await kubectl.try(['exec', 'web', '--', 'sh', '-c', 'exit 42'])).code, 42)
    })

    const hangs = runtime === 'containerd' ? {} : { skip: 'there is no daemon but our own' }
    test(
      'a containerd that hangs makes the node and its pods unready, and both come back',
      hangs,
      async () => {
        const [pid = ''] = readFileSync(join(dataDir, 'containerd/pid'), 'utf8').split(' ')
        const ready = (kind: string, name: string) =>
          kubectl.ok(['get', kind, name, '-o', 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'])
        process.kill(Number(pid), 'SIGSTOP')
        try {
          await until('the node is not ready', async () => (await ready('node', 'n1')) === 'False')
          const told =
            '{.status.conditions[?(@.type=="Ready")].reason} {.status.conditions[?(@.type=="Ready")].message}'
          const words = await kubectl.ok(['get', 'node', 'n1', '-o', `jsonpath=${told}`])
          assert.equal(words, 'KubeletNotReady container runtime is down')
          await until('its pods neither', async () => (await ready('pod', 'web')) === 'False')
        } finally {
          process.kill(Number(pid), 'SIGCONT')
        }
        await until('the node is ready', async () => (await ready('node', 'n1')) === 'True')
        await until('its pods are too', async () => (await ready('pod', 'web')) === 'True')
        assert.equal(await kubectl.ok(['get', 'pod', 'web', '-o', 'jsonpath={..restartCount}']), '0')
      },
    )

    test('what is no image archive is refused by its name', async () => {
      const [enter, ...words] = namespace.enter
      const garbage = join(parent, 'garbage.tar')
      writeFileSync(garbage, 'no archive')
      for (const file of [garbage, join(parent, 'absent.tar')]) {
        const ran = await run(enter, [...words, MK8S, 'images', 'import', file], {
          env: { MK8S_DATA_DIR: dataDir },
        })
        assert.equal(ran.code, 2)
        assert.ok(ran.stderr.includes(`${file} cannot be imported`), ran.stderr)
      }
    })

    test('containers that end at once are noticed at once', async () => {
      const command = ['sh', '-c', 'exit 0']
      const inits = Array.from({ length: 4 }, (_, index) => ({ name: `i${index}`, image: IMAGE, command }))
      const quick = pod('quick', 'exit 0')
      const input = JSON.stringify({ ...quick, spec: { ...quick.spec, initContainers: inits } })
      const begun = performance.now()
      await kubectl.ok(['create', '-f', '-'], { input })
      await kubectl.ok(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/quick', '--timeout=60s'])
      // Each that is found by looking at the list takes up to ten seconds, and there are five.
      assert.ok(performance.now() - begun < 40_000)
    })
  })
}
