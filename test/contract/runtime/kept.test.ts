/** The contract suite against the runtime of macOS and Windows, on whichever system this is; and what only it does. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { identifyProcess } from '../../../src/host/processes.ts'
import { system } from '../../../src/host/system.ts'
import { endKept, KeptRuntime } from '../../../src/runtime/kubelet/runtime/kept/kept-runtime.ts'
import { until } from '../../support/until.ts'
import { containerOf, describeRuntime, sandboxOf } from './runtime-contract.ts'

const open = (directory: string) =>
  new KeptRuntime({
    directory: join(directory, 'containers'),
    ...{ system, environment: process.env, clock: systemClock, random: systemRandom, log: silentLog },
  })

describeRuntime('process with mk8s as the keeper', {
  open,
  exits: { command: ['sh', '-c', 'echo hello; exit 3'], annotations: {} },
  runs: { command: ['sleep', '600'] },
})

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-kept-'))
  try {
    await body(directory)
  } finally {
    await endKept(join(directory, 'containers'))
    await rm(directory, { recursive: true, force: true })
  }
}

const exits = () => {
  const ended = new Map<string, () => void>()
  return {
    onEvent: ({ containerId }: { containerId: string }) => ended.get(containerId)?.(),
    of: (id: string) => new Promise<void>(resolve => ended.set(id, resolve)),
  }
}

async function startOne(
  runtime: KeptRuntime,
  directory: string,
  over: Parameters<typeof containerOf>[0],
): Promise<{ id: string; logPath: string }> {
  const sandbox = await runtime.runSandbox(sandboxOf(directory))
  const id = await runtime.createContainer(sandbox, containerOf(over))
  await runtime.startContainer(id)
  return { id, logPath: join(directory, 'logs', over?.logPath ?? 'main/0.log') }
}

const textOf = async (stream: AsyncIterable<Buffer> | null): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream ?? []) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('a container goes on without a daemon, loses nothing that it writes, and is found again', () =>
  inDirectory(async directory => {
    const first = open(directory)
    await first.start(() => {})
    const script = 'echo one; while ! [ -e go ]; do sleep 0.05; done; echo two; sleep 0.2; exit 5'
    const { id, logPath } = await startOne(first, directory, { command: ['sh', '-c', script] })
    await first.stop()
    await writeFile(join(directory, 'containers/containers', id, 'cwd/go'), '')
    await until('it has written on', async () => (await readFile(logPath, 'utf8')).includes('two'))
    const second = open(directory)
    const { onEvent, of } = exits()
    const ended = of(id)
    await second.start(onEvent)
    if ((await second.containerStatus(id))?.state !== 'exited') await ended
    const status = await second.containerStatus(id)
    assert.equal(status?.exitCode, 5)
    assert.match(await readFile(logPath, 'utf8'), /stdout F one\n.* stdout F two\n/)
    await second.stop()
  }))

test('what a killed keeper leaves is ended, and the container counts as killed', () =>
  inDirectory(async directory => {
    const runtime = open(directory)
    const { onEvent, of } = exits()
    await runtime.start(onEvent)
    const { id, logPath } = await startOne(runtime, directory, {
      command: ['sh', '-c', 'echo $PPID $$; exec sleep 600'],
    })
    await until('it has said who it is', async () => (await readFile(logPath, 'utf8')).includes('stdout'))
    const [keeper = 0, program = 0] = (await readFile(logPath, 'utf8')).trim().split(' ').slice(3).map(Number)
    const ended = of(id)
    process.kill(keeper, 'SIGKILL')
    await ended
    assert.equal((await runtime.containerStatus(id))?.exitCode, 137)
    assert.equal(identifyProcess(program), undefined)
    await runtime.stop()
  }))

test('a log that cannot be opened anew is an error of the daemon’s, and the container goes on', () =>
  inDirectory(async directory => {
    const runtime = open(directory)
    await runtime.start(() => {})
    const script = 'while :; do echo on; sleep 0.05; done'
    const { id, logPath } = await startOne(runtime, directory, { command: ['sh', '-c', script] })
    const away = `${logPath}.1`
    await rename(logPath, away)
    await mkdir(logPath)
    await assert.rejects(runtime.reopenLog(id), /the log could not be opened anew/)
    const { size } = await stat(away)
    await until('it writes on', async () => (await stat(away)).size > size)
    await rmdir(logPath)
    await runtime.reopenLog(id)
    await until('the new one is written', async () => (await stat(logPath)).size > 0)
    await runtime.stop()
  }))

test('exec has input, output and errors apart, its exit code, and ends with its client', () =>
  inDirectory(async directory => {
    const runtime = open(directory)
    await runtime.start(() => {})
    const { id } = await startOne(runtime, directory, { command: ['sleep', '600'], env: { A: 'b' } })
    const plain = { stdin: true, stdout: true, stderr: true, tty: false }
    const streams = await runtime.execStream(id, ['sh', '-c', 'echo oops >&2; wc -c; exit 7'], plain)
    streams.stdin?.end(Buffer.alloc(1_000_000, 'a'))
    const [output, errors] = await Promise.all([textOf(streams.stdout), textOf(streams.stderr)])
    assert.equal(output.trim(), '1000000')
    assert.equal(errors, 'oops\n')
    assert.equal(await streams.exited, 7)
    const gone = await runtime.execStream(id, ['sh', '-c', 'echo $$; exec sleep 600'], plain)
    const said: string[] = []
    gone.stdout?.on('data', chunk => said.push(String(chunk)))
    await until('it has said who it is', () => said.length > 0)
    gone.close()
    await until('it has ended', () => identifyProcess(Number(said[0])) === undefined)
    await assert.rejects(runtime.execStream(id, ['no-such-program'], plain), { message: /no-such-program/ })
    const late = await runtime.exec(id, ['sleep', '600'], { timeoutMs: 100 })
    assert.ok(late.timedOut)
    assert.equal((await runtime.exec(id, ['sh', '-c', 'echo $A'], { timeoutMs: 60_000 })).stdout, 'b\n')
    await runtime.stop()
  }))

test('a client that attaches gives input, and gets what is written from then on', () =>
  inDirectory(async directory => {
    const runtime = open(directory)
    await runtime.start(() => {})
    const command = ['sh', '-c', 'while read -r line; do echo "<$line>"; done; exit 4']
    const { id } = await startOne(runtime, directory, { command, stdin: true, stdinOnce: true })
    const streams = await runtime.attach(id, { stdin: true, stdout: true, stderr: true, tty: false })
    streams.stdin?.end('a\nb\n')
    assert.equal(await textOf(streams.stdout), '<a>\n<b>\n')
    assert.equal(await streams.exited, 4)
    await runtime.stop()
  }))

test('volumes are links under $MK8S_ROOT, and a terminal is refused in words', () =>
  inDirectory(async directory => {
    const runtime = open(directory)
    const { onEvent, of } = exits()
    await runtime.start(onEvent)
    await mkdir(join(directory, 'volume'))
    await writeFile(join(directory, 'volume/key'), 'from the volume\n')
    const mounts = [{ hostPath: join(directory, 'volume'), containerPath: '/data/v', readOnly: true }]
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const id = await runtime.createContainer(
      sandbox,
      containerOf({ command: ['sh', '-c', 'cat "$MK8S_ROOT/data/v/key"'], mounts }),
    )
    const ended = of(id)
    await runtime.startContainer(id)
    await ended
    assert.match(await readFile(join(directory, 'logs/main/0.log'), 'utf8'), /from the volume/)
    await assert.rejects(runtime.createContainer(sandbox, containerOf({ tty: true })), {
      message: /no terminals/,
    })
    await runtime.stop()
  }))
