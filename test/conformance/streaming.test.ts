/** exec, attach, cp, port-forward and followed logs with the real kubectl, over websocket and over SPDY. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get, request } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import {
  KUBECTL,
  type Kubectl,
  kubectlFor,
  otherKubectl,
  type Ran,
  type RunOptions,
  run,
} from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const WEBSOCKET = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' }
const SPDY = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' }

const other = otherKubectl()
const clients = [
  { name: 'kubectl over websocket', program: KUBECTL, env: WEBSOCKET },
  { name: 'kubectl over SPDY', program: KUBECTL, env: SPDY },
  ...(other === null ? [] : [{ name: 'another kubectl', program: other, env: {} }]),
]

/** Pods of other clusters on this machine may have the same address. */
const PORT = 20_000 + (process.pid % 10_000)

const SERVER = `require('node:http').createServer((request, response) => {
  if (request.url === '/large') return response.end('x'.repeat(2_000_000))
  let bytes = 0
  request.on('data', chunk => { bytes += chunk.length }).on('end', () => response.end('got ' + bytes))
}).listen(${PORT}, process.env.POD_IP)`

interface Spec {
  readonly name: string
  readonly command: readonly string[]
  readonly more?: object
  readonly containers?: readonly object[]
}

const pod = ({ name, command, more = {}, containers = [] }: Spec) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 1,
    restartPolicy: 'Never',
    containers: [
      {
        name: 'main',
        image: 'localhost/any',
        command,
        env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
        ...more,
      },
      ...containers,
    ],
  },
})

const IDLE = ['/bin/sh', '-c', 'while :; do sleep 1; done']
const ECHO = ['/bin/sh', '-c', 'while read line; do echo "got $line"; done; echo over']

const pods = [
  pod({ name: 'shell', command: IDLE }),
  pod({ name: 'server', command: [process.execPath, '-e', SERVER] }),
  pod({ name: 'reader', command: ECHO, more: { stdin: true } }),
  pod({ name: 'user', command: IDLE, more: { securityContext: { runAsUser: 12345, runAsGroup: 23456 } } }),
  pod({
    name: 'two',
    command: IDLE,
    containers: [{ name: 'second', image: 'localhost/any', command: IDLE }],
  }),
]

let cluster: TestCluster
before(async () => {
  cluster = await installCluster()
  const list = { apiVersion: 'v1', kind: 'List', items: pods }
  await cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(list) })
  await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
  await cluster.kubectl.ok(['create', 'role', 'look', '--verb=get', '--resource=pods,pods/exec'])
  await cluster.kubectl.ok(['create', 'rolebinding', 'look', '--role=look', '--user=nobody'])
})
after(() => cluster.remove())

const directory = () => dirname(cluster.dataDir)

/** How long a program sleeps tells it from those of other runs of these tests. */
const MARK = `6${process.pid}`

const processRuns = (mark: string) =>
  readdirSync('/proc').some(id => /^\d+$/.test(id) && commandLine(id) === `sleep\0${mark}\0`)

function commandLine(id: string): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

for (const client of clients) {
  describe(client.name, () => {
    let kubectl: Kubectl
    before(() => {
      kubectl = kubectlFor(cluster.kubeconfig, client.program)
    })
    const call = (args: readonly string[], options: RunOptions = {}): Promise<Ran> =>
      kubectl.try(args, { ...options, env: client.env })
    const words = () => [client.program, '--kubeconfig', cluster.kubeconfig]
    const inShell = (command: string) => run('sh', ['-c', command], { env: client.env })
    const start = (args: readonly string[]): ChildProcess =>
      spawn(client.program, ['--kubeconfig', cluster.kubeconfig, ...args], {
        env: { ...process.env, ...client.env },
        stdio: ['pipe', 'pipe', 'pipe'],
      })

    test('exec keeps output and errors apart and passes the exit code on', async () => {
      const script = 'echo out; echo err >/dev/stderr; echo "$POD_IP"; exit 7'
      const ran = await call(['exec', 'shell', '--', 'sh', '-c', script])
      assert.equal(ran.code, 7)
      assert.match(ran.stdout, /^out\n127\.\d+\.\d+\.\d+\n$/)
      assert.match(ran.stderr, /^err\ncommand terminated with exit code 7/)
    })

    test('exec runs as the user of the container', async () => {
      const { stdout } = await call(['exec', 'user', '--', 'sh', '-c', 'id -u; id -g'])
      assert.equal(stdout, '12345\n23456\n')
    })

    test('a megabyte goes in and comes out unchanged, and the end of the input is seen', async () => {
      const file = join(directory(), 'random')
      writeFileSync(file, randomBytes(1_000_000))
      const ran = await inShell(`${words().join(' ')} exec -i shell -- cat <${file} | cmp - ${file}`)
      assert.deepEqual(ran, { code: 0, stdout: '', stderr: '' })
    })

    test('input that nobody reads holds up nothing', async () => {
      const ran = await call(['exec', '-i', 'shell', '--', 'echo', 'done'], { input: 'x'.repeat(1_000_000) })
      assert.deepEqual([ran.code, ran.stdout], [0, 'done\n'])
    })

    test('children that keep the output open do not keep the client', async () => {
      const ran = await call(['exec', 'shell', '--', 'sh', '-c', 'sleep 300 & echo done'])
      assert.deepEqual([ran.code, ran.stdout], [0, 'done\n'])
    })

    test('a program that is missing and one that cannot be run are told apart', async () => {
      const missing = await call(['exec', 'shell', '--', 'no-such-program'])
      assert.equal(missing.code, 1)
      assert.match(missing.stderr, /exec: "no-such-program": executable file not found in \$PATH/)
      const path = await call(['exec', 'shell', '--', '/no/such/program'])
      assert.match(
        path.stderr,
        /exec: "\/no\/such\/program": stat \/no\/such\/program: no such file or directory/,
      )
      const plain = await call(['exec', 'shell', '--', '/etc/passwd'])
      assert.match(plain.stderr, /exec: "\/etc\/passwd": permission denied/)
      assert.equal((await call(['exec', 'shell', '--', 'sh', '-c', 'no-such-program'])).code, 127)
      assert.equal((await call(['exec', 'shell', '--', 'sh', '-c', '/etc/passwd'])).code, 126)
    })

    test('what is not there is named', async () => {
      const container = await call(['exec', 'shell', '-c', 'nope', '--', 'true'])
      assert.match(container.stderr, /container nope is not valid for pod shell/)
      const none = await call(['exec', 'nope', '--', 'true'])
      assert.match(none.stderr, /pods "nope" not found/)
      const path = '/api/v1/namespaces/default/pods/two/exec?command=true&stdout=true'
      const choice = await call(['create', '--raw', path, '-f', '-'], { input: '{}' })
      assert.match(
        choice.stderr,
        /a container name must be specified for pod two, choose one of: \[main second\]/,
      )
      const plain = await call(['create', '--raw', `${path}&container=main`, '-f', '-'], { input: '{}' })
      assert.match(plain.stderr, /Upgrade request required/)
    })

    test('a terminal has the size of the client and follows it', async t => {
      if (spawnSync('tmux', ['-V']).status !== 0) return t.skip('tmux is not installed')
      const socket = join(directory(), 'tmux')
      const tmux = (...args: string[]) => run('tmux', ['-S', socket, ...args], { env: client.env })
      const command = [...words(), 'exec', '-it', 'shell', '--', '/bin/sh'].join(' ')
      await tmux(
        '-f',
        '/dev/null',
        'new-session',
        '-d',
        '-x',
        '91',
        '-y',
        '27',
        `${command}; echo "ended $?"; cat`,
      )
      const screen = async () => (await tmux('capture-pane', '-p')).stdout
      const shows = (pattern: RegExp) => until(String(pattern), async () => pattern.test(await screen()))
      try {
        await shows(/^[#$]/m)
        await tmux('send-keys', 'stty size; tty', 'Enter')
        await shows(/27 91\n\/dev\/pts\/\d+/)
        await tmux('resize-window', '-x', '73', '-y', '21')
        await until('the new size', async () => {
          await tmux('send-keys', 'stty size', 'Enter')
          return (await screen()).includes('21 73')
        })
        await tmux('send-keys', `sleep ${MARK}`, 'Enter')
        await until('it sleeps', () => processRuns(MARK))
        await tmux('send-keys', 'C-c')
        await tmux('send-keys', 'exit 5', 'Enter')
        await shows(/ended 5/)
        assert.equal(processRuns(MARK), false)
      } finally {
        await tmux('kill-server')
      }
    })

    test('a client that vanishes takes its program with it', async () => {
      const child = start(['exec', 'shell', '--', 'sh', '-c', `trap "" HUP; sleep ${MARK}`])
      await until('it sleeps', () => processRuns(MARK))
      child.kill('SIGKILL')
      await until('it is gone', () => !processRuns(MARK))
    })

    test('attach shows the output and passes the input on, and leaves the container alone', async () => {
      const child = start(['attach', '-i', 'reader'])
      let output = ''
      child.stdout?.setEncoding('utf8').on('data', chunk => (output += chunk))
      const line = `from ${client.name}`
      await until('the echo', () => {
        child.stdin?.write(`${line}\n`)
        return output.includes(`got ${line}\n`)
      })
      child.kill('SIGKILL')
      const phase = await cluster.kubectl.ok(['get', 'pod', 'reader', '-o', 'jsonpath={.status.phase}'])
      assert.equal(phase, 'Running')
      assert.match(await cluster.kubectl.ok(['logs', 'reader']), new RegExp(`got ${line}`))
    })

    test('run -i pipes through a container and removes it', async () => {
      const args = ['run', 'piped', '-i', '--rm', '--restart=Never', '--image=localhost/any', '--quiet']
      const ran = await call([...args, '--command', '--', '/bin/sh', '-c', 'cat; exit 3'], {
        input: 'hello\n',
      })
      assert.equal(ran.stdout.replace(/pod "piped" deleted.*\n/, ''), 'hello\n')
      assert.equal(ran.code, 3)
      assert.match((await call(['get', 'pod', 'piped'])).stderr, /not found/)
    })

    test('cp takes directories in and out', async () => {
      const from = join(directory(), 'from')
      mkdirSync(join(from, 'deep'), { recursive: true })
      writeFileSync(join(from, 'large'), randomBytes(300_000))
      writeFileSync(join(from, 'deep', 'name with blanks'), 'text\n')
      const inside = join(directory(), `copied-${clients.indexOf(client)}`)
      assert.equal((await call(['cp', from, `shell:${inside}`])).code, 0)
      const back = join(directory(), 'back')
      rmSync(back, { recursive: true, force: true })
      assert.equal((await call(['cp', `shell:${inside}`, back])).code, 0)
      assert.deepEqual(await inShell(`diff -r ${from} ${back}`), { code: 0, stdout: '', stderr: '' })
      assert.deepEqual(readdirSync(back).sort(), ['deep', 'large'])
    })

    test('port-forward carries several connections at a time, both ways', async () => {
      const child = start(['port-forward', 'pod/server', `:${PORT}`])
      try {
        const port = await forwardedPort(child)
        const url = `http://127.0.0.1:${port}`
        const large = await Promise.all(Array.from({ length: 6 }, () => textAt(`${url}/large`)))
        for (const text of large) assert.equal(text, 'x'.repeat(2_000_000))
        assert.equal(await answerTo(url, Buffer.alloc(1_000_000)), 'got 1000000')
      } finally {
        child.kill()
      }
    })

    test('port-forward says when nobody listens', async () => {
      const child = start(['port-forward', 'pod/server', ':9'])
      let errors = ''
      child.stderr?.setEncoding('utf8').on('data', chunk => (errors += chunk))
      try {
        const socket = connect(await forwardedPort(child), '127.0.0.1')
        socket.on('error', () => {})
        await until('the error', () => /error forwarding port 9 to pod server.*ECONNREFUSED/.test(errors))
        socket.destroy()
      } finally {
        child.kill()
      }
    })

    test('a user without the right is refused', async () => {
      const ran = await call(['exec', 'shell', '--as', 'nobody', '--', 'true'])
      assert.equal(ran.code, 1)
      assert.match(ran.stderr, /pods "shell" is forbidden: User "nobody" cannot create resource "pods\/exec"/)
      const forward = await call(['port-forward', 'pod/shell', ':8080', '--as', 'nobody'])
      assert.match(forward.stderr, /forbidden/)
    })
  })
}

test('the right to get is not enough for a websocket', async () => {
  const exec = () =>
    cluster.kubectl.try(['exec', 'shell', '--as', 'nobody', '--', 'true'], { env: WEBSOCKET })
  assert.match((await exec()).stderr, /User "nobody" cannot create resource "pods\/exec"/)
  await cluster.kubectl.ok(['create', 'role', 'enter', '--verb=create', '--resource=pods/exec'])
  await cluster.kubectl.ok(['create', 'rolebinding', 'enter', '--role=enter', '--user=nobody'])
  const may = await exec()
  assert.deepEqual([may.code, may.stderr], [0, ''])
})

test('followed logs end with the container', async () => {
  const go = join(directory(), 'go')
  const script = `echo one; while [ ! -e ${go} ]; do sleep 0.05; done; echo two`
  const manifest = pod({ name: 'short', command: ['/bin/sh', '-c', script] })
  await cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(manifest) })
  await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/short', '--timeout=120s'])
  const following = cluster.kubectl.ok(['logs', '-f', 'short'])
  await cluster.kubectl.ok(['exec', 'short', '--', 'touch', go])
  assert.equal(await following, 'one\ntwo\n')
})

test('nothing is left of all these streams', async () => {
  const containers = join(cluster.dataDir, 'containers/containers')
  const left = readdirSync(containers).flatMap(id =>
    readdirSync(join(containers, id)).filter(name => name.startsWith('exec-')),
  )
  assert.deepEqual(left, [])
  const pid = cluster.daemonPid()
  await until('no child is left but the keepers', () => {
    const path = `/proc/${pid}/task/${pid}/children`
    if (!existsSync(path)) return true
    const children = readFileSync(path, 'utf8').trim().split(' ')
    const lines = children.map(child => readFileSync(`/proc/${child}/cmdline`, 'latin1'))
    return lines.every(line => line.includes('mk8s-keeper'))
  })
})

async function forwardedPort(child: ChildProcess): Promise<number> {
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', chunk => (output += chunk))
  return until('the port', () => Number(/127\.0\.0\.1:(\d+)/.exec(output)?.[1] ?? 0) || false)
}

const textAt = (url: string) =>
  new Promise<string>((resolve, reject) => {
    get(url, { agent: false, timeout: 60_000 }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => (text += chunk))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })

const answerTo = (url: string, body: Buffer) =>
  new Promise<string>((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent: false, timeout: 60_000 }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => (text += chunk))
      response.on('end', () => resolve(text))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
