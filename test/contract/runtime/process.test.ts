/** The contract suite against the process runtime, and what only real processes can show. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import {
  killAllContainers,
  ProcessRuntime,
} from '../../../src/runtime/kubelet/runtime/process/process-runtime.ts'
import { until } from '../../support/until.ts'
import { containerOf, describeRuntime, sandboxOf } from './runtime-contract.ts'

const open = (directory: string) =>
  new ProcessRuntime({
    directory: join(directory, 'containers'),

    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  })

describeRuntime('process', {
  open,
  exits: { command: ['sh', '-c', 'echo hello; exit 3'], annotations: {} },
  runs: { command: ['sleep', '600'] },
})

interface Bench {
  readonly directory: string
  readonly runtime: ProcessRuntime
  exit(id: string): Promise<void>
}

async function withRuntime(body: (bench: Bench) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-process-'))
  const runtime = open(directory)
  const { exit, onEvent } = exits()
  await runtime.start(onEvent)
  try {
    await body({ directory, runtime, exit })
  } finally {
    for (const sandbox of await runtime.listSandboxes()) await runtime.removeSandbox(sandbox.id)
    await runtime.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

function exits() {
  const seen = new Map<string, PromiseWithResolvers<void>>()
  const of = (id: string) => {
    const known = seen.get(id) ?? Promise.withResolvers<void>()
    seen.set(id, known)
    return known
  }
  return {
    exit: (id: string) => of(id).promise,
    onEvent: (event: { containerId: string }) => of(event.containerId).resolve(),
  }
}

async function runToEnd(bench: Bench, over: Parameters<typeof containerOf>[0]): Promise<string> {
  const sandbox = await bench.runtime.runSandbox(sandboxOf(bench.directory))
  const id = await bench.runtime.createContainer(sandbox, containerOf(over))
  await bench.runtime.startContainer(id)
  await bench.exit(id)
  const status = await bench.runtime.containerStatus(id)
  const log = await readFile(status?.logPath ?? '', 'utf8')
  return log.replaceAll(/^\S+ std(?:out|err) F /gm, '')
}

test('a container without a command says what the process runtime needs', () =>
  withRuntime(async ({ runtime, directory }) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    await assert.rejects(runtime.createContainer(sandbox, containerOf({ command: [] })), {
      message: /process runtime needs spec.containers\[\].command/,
    })
  }))

test('a program that does not exist is refused at the start', () =>
  withRuntime(async ({ runtime, directory }) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const id = await runtime.createContainer(sandbox, containerOf({ command: ['no-such-program'] }))
    await assert.rejects(runtime.startContainer(id), { message: /executable file not found in \$PATH/ })
  }))

const isRoot = process.getuid?.() === 0 && process.platform === 'linux'
const needsRoot = isRoot ? {} : { skip: 'mount namespaces need root on Linux' }

test('volumes appear at their mount paths, and the host sees none of it', needsRoot, () =>
  withRuntime(async bench => {
    const volume = join(bench.directory, 'volume')
    await mkdir(volume)
    await writeFile(join(volume, 'key'), 'from the volume\n')
    const mounts = [
      { hostPath: volume, containerPath: '/mk8s-test/data', readOnly: false },
      { hostPath: volume, containerPath: '/var/run/secrets/mk8s-test', readOnly: true },
      { hostPath: join(volume, 'key'), containerPath: '/etc/mk8s-test.conf', readOnly: true },
    ]
    const script = `cat /mk8s-test/data/key /var/run/secrets/mk8s-test/key /etc/mk8s-test.conf
      echo back >/mk8s-test/data/out
      echo no >/var/run/secrets/mk8s-test/out || echo read-only
      echo scratch >/mk8s-scratch`
    const log = await runToEnd(bench, { command: ['sh', '-c'], args: [script], mounts })
    assert.equal(log.match(/from the volume/g)?.length, 3)
    assert.match(log, /read-only/)
    assert.equal(await readFile(join(volume, 'out'), 'utf8'), 'back\n')
    for (const path of ['/mk8s-test', '/mk8s-scratch', '/run/secrets/mk8s-test', '/etc/mk8s-test.conf']) {
      await assert.rejects(readFile(path), { code: 'ENOENT' })
    }
  }),
)

test('exec sees the volumes of a container that is isolated', needsRoot, () =>
  withRuntime(async ({ runtime, directory }) => {
    const mounts = [{ hostPath: directory, containerPath: '/mk8s-test', readOnly: true }]
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const id = await runtime.createContainer(sandbox, containerOf({ mounts, env: { A: 'b' } }))
    await runtime.startContainer(id)
    const result = await runtime.exec(id, ['sh', '-c', 'ls /mk8s-test; echo $A; exit 4'], {
      timeoutMs: 60_000,
    })
    assert.equal(result.exitCode, 4)
    assert.match(result.stdout, /containers\nlogs\nb\n/)
  }),
)

test('runAsUser is obeyed with and without volumes', needsRoot, () =>
  withRuntime(async bench => {
    const security = { runAsUser: 12345, runAsGroup: 23456 }
    const command = ['sh', '-c', 'echo $(id -u):$(id -g)']
    assert.equal(await runToEnd(bench, { command, security, workingDir: '/' }), '12345:23456\n')
    const mounts = [{ hostPath: '/etc', containerPath: '/mk8s-test', readOnly: true }]
    const log = await runToEnd(bench, { command, security, mounts, logPath: 'main/1.log' })
    assert.equal(log, '12345:23456\n')
  }),
)

test('a running container is found again, with its later output and its exit code', () =>
  withRuntime(async bench => {
    const { directory, runtime: first } = bench
    const go = join(directory, 'go')
    const script = `echo one; while [ ! -e ${go} ]; do sleep 0.02; done; echo two; exit 5`
    const sandbox = await first.runSandbox(sandboxOf(directory))
    const id = await first.createContainer(sandbox, containerOf({ command: ['sh', '-c', script] }))
    await first.startContainer(id)
    await first.stop()
    const second = open(directory)
    const { exit, onEvent } = exits()
    await second.start(onEvent)
    assert.equal((await second.containerStatus(id))?.state, 'running')
    assert.equal((await second.listSandboxes())[0]?.state, 'ready')
    await writeFile(go, '')
    await exit(id)
    const status = await second.containerStatus(id)
    assert.equal(status?.exitCode, 5)
    assert.match(await readFile(status?.logPath ?? '', 'utf8'), /F one\n.*F two\n$/)
    await second.stop()
  }))

test('a container that ended while no daemon was there left its exit code and last words', () =>
  withRuntime(async bench => {
    const { directory, runtime: first } = bench
    const go = join(directory, 'go')
    const done = join(directory, 'containers', 'containers')
    const script = `while [ ! -e ${go} ]; do sleep 0.02; done; echo bye; exit 6`
    const sandbox = await first.runSandbox(sandboxOf(directory))
    const id = await first.createContainer(sandbox, containerOf({ command: ['sh', '-c', script] }))
    await first.startContainer(id)
    await first.stop()
    await writeFile(go, '')
    await until('the exit file', async () => {
      const text = await readFile(join(done, id, 'exit'), 'utf8').catch(() => '')
      return text.endsWith('\n')
    })
    const second = open(directory)
    await second.start(() => {})
    const status = await second.containerStatus(id)
    assert.equal(status?.state, 'exited')
    assert.equal(status?.exitCode, 6)
    assert.match(await readFile(status?.logPath ?? '', 'utf8'), /F bye\n$/)
    await second.stop()
  }))

test('a program that ignores SIGTERM is killed after the grace period, with all it started', () =>
  withRuntime(async ({ runtime, directory }) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const script = 'trap "" TERM; sleep 600 & echo $! >$OUT; while :; do sleep 1; done'
    const env = { OUT: join(directory, 'child') }
    const id = await runtime.createContainer(sandbox, containerOf({ command: ['sh', '-c', script], env }))
    await runtime.startContainer(id)
    let child = Number.NaN
    await until('its child', async () => {
      const written = await readFile(env.OUT, 'utf8').catch(() => '')
      if (written.endsWith('\n')) child = Number(written)
      return child > 0
    })
    await runtime.stopContainer(id, 100)
    assert.equal((await runtime.containerStatus(id))?.exitCode, 137)
    const state = await readFile(`/proc/${child}/stat`, 'utf8').catch(() => ') Z')
    assert.equal(state.slice(state.lastIndexOf(')') + 2)[0], 'Z')
  }))

test('a program whose keeper was killed while no daemon was there is not left behind', () =>
  withRuntime(async ({ directory, runtime: first }) => {
    const sandbox = await first.runSandbox(sandboxOf(directory))
    const files = ['again', 'for-good'].map(name => join(directory, name))
    const lost = async (runtime: ProcessRuntime, file: string) => {
      const env = { OUT: file }
      const command = ['sh', '-c', 'echo $PPID $$ >$OUT; exec sleep 600']
      const id = await runtime.createContainer(sandbox, containerOf({ command, env }))
      await runtime.startContainer(id)
      const text = await until('its pids', async () => {
        const written = await readFile(file, 'utf8').catch(() => '')
        return written.endsWith('\n') && written
      })
      const [keeper = 0, program = 0] = text.trim().split(' ').map(Number)
      await runtime.stop()
      process.kill(keeper, 'SIGKILL')
      await until('the keeper is gone', () => !existsSync(`/proc/${keeper}`))
      assert.ok(existsSync(`/proc/${program}`))
      return { id, program }
    }
    const found = await lost(first, files[0] ?? '')
    const second = open(directory)
    await second.start(() => {})
    assert.equal((await second.containerStatus(found.id))?.exitCode, 137)
    await until('a new daemon ends it', () => !existsSync(`/proc/${found.program}`))
    const { program } = await lost(second, files[1] ?? '')
    await killAllContainers(join(directory, 'containers'))
    await until('stop ends it', () => !existsSync(`/proc/${program}`))
  }))

test('what is executed in a container ends with it', () =>
  withRuntime(async ({ directory, runtime }) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const id = await runtime.createContainer(sandbox, containerOf({ command: ['sleep', '600'] }))
    await runtime.startContainer(id)
    const executed = runtime.exec(id, ['sleep', '60'], { timeoutMs: 60_000 })
    await runtime.stopContainer(id, 0)
    assert.equal((await executed).exitCode, 137)
  }))

test('what left the session of its container ends with it', () =>
  withRuntime(async ({ directory, runtime }) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const env = { OUT: join(directory, 'escaped') }
    const command = ['sh', '-c', 'setsid sh -c "echo \\$\\$ >$OUT; exec sleep 600" & exec sleep 600']
    const id = await runtime.createContainer(sandbox, containerOf({ command, env }))
    await runtime.startContainer(id)
    const text = await until(
      'its pid',
      async () => /^(\d+)\n/.exec(await readFile(env.OUT, 'utf8').catch(() => ''))?.[1],
    )
    assert.ok(existsSync(`/proc/${text}`))
    await runtime.stopContainer(id, 0)
    await until('it has gone', () => !existsSync(`/proc/${text}`))
  }))

test('the input ends with its client, even one that goes the moment the program has begun', () =>
  withRuntime(async ({ directory, runtime }) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const options = { stdin: true, stdout: true, stderr: true, tty: false }
    for (const attempt of Array(10).keys()) {
      const over = { command: ['cat'], stdin: true, stdinOnce: true, attempt, logPath: `main/${attempt}.log` }
      const id = await runtime.createContainer(sandbox, containerOf(over))
      await runtime.startContainer(id)
      const streams = await runtime.attach(id, options)
      streams.stdin?.end('hello\n')
      assert.equal(await streams.exited, 0)
    }
  }))
