/** What every container runtime must do. The other files of this folder run it. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type {
  ContainerConfig,
  Runtime,
  RuntimeEvent,
  SandboxConfig,
} from '../../../src/runtime/kubelet/runtime/runtime.ts'
import { until } from '../../support/until.ts'

export interface RuntimeUnderTest {
  readonly open: (directory: string) => Runtime
  /** How a container comes to exit with 3 after having written `hello`. */
  readonly exits: { readonly command: readonly string[]; readonly annotations: Record<string, string> }
  readonly runs: { readonly command: readonly string[] }
}

let sandboxes = 0

/** Each call is a later attempt at the same pod, since no runtime has to take one twice. */
export const sandboxOf = (directory: string, over: Partial<SandboxConfig> = {}): SandboxConfig => ({
  metadata: { name: 'web', namespace: 'default', uid: 'uid-1', attempt: sandboxes++ },
  hostname: 'web',
  hostNetwork: false,
  logDirectory: join(directory, 'logs'),
  labels: {},
  annotations: {},
  ...over,
})

export const containerOf = (over: Partial<ContainerConfig> = {}): ContainerConfig => ({
  name: 'main',
  attempt: 0,
  image: 'example/web:1',
  command: ['sleep', '600'],
  args: [],
  workingDir: '',
  env: {},
  mounts: [],
  logPath: 'main/0.log',
  labels: { a: 'b' },
  annotations: {},
  security: {},
  ...over,
})

export function describeRuntime(name: string, under: RuntimeUnderTest): void {
  describe(`runtime ${name}`, () => {
    let directory = ''
    let runtime: Runtime
    const waiting = new Map<string, () => void>()
    const seen = new Set<string>()
    const onEvent = (event: RuntimeEvent) => {
      seen.add(event.containerId)
      waiting.get(event.containerId)?.()
    }
    const exited = (id: string) =>
      new Promise<void>(resolve => {
        waiting.set(id, resolve)
        if (seen.has(id)) resolve()
      })
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'mk8s-runtime-'))
      runtime = under.open(directory)
      await runtime.start(onEvent)
    })
    after(async () => {
      for (const sandbox of await runtime.listSandboxes()) await runtime.removeSandbox(sandbox.id)
      await runtime.stop()
      await rm(directory, { recursive: true, force: true })
    })

    test('sandboxes get addresses of their own and keep them until they stop', async () => {
      const first = await runtime.runSandbox(sandboxOf(directory))
      const second = await runtime.runSandbox(sandboxOf(directory))
      const a = await runtime.sandboxStatus(first)
      const b = await runtime.sandboxStatus(second)
      assert.equal(a?.state, 'ready')
      assert.equal(a?.addresses.length, 1)
      assert.notEqual(a?.addresses[0], b?.addresses[0])
      await runtime.stopSandbox(first)
      await runtime.stopSandbox(first)
      assert.equal((await runtime.sandboxStatus(first))?.state, 'not-ready')
      await runtime.removeSandbox(first)
      assert.equal(await runtime.sandboxStatus(first), null)
      await runtime.removeSandbox(second)
    })

    test('a sandbox on the host network has no address of its own', async () => {
      const id = await runtime.runSandbox(sandboxOf(directory, { hostNetwork: true }))
      assert.deepEqual((await runtime.sandboxStatus(id))?.addresses, [])
      await runtime.removeSandbox(id)
    })

    test('a container goes from created to running to exited, and its exit is an event', async () => {
      const sandbox = await runtime.runSandbox(sandboxOf(directory))
      const id = await runtime.createContainer(sandbox, containerOf({ command: under.runs.command }))
      assert.equal((await runtime.containerStatus(id))?.state, 'created')
      await runtime.startContainer(id)
      await runtime.startContainer(id)
      const running = await runtime.containerStatus(id)
      assert.equal(running?.state, 'running')
      assert.ok((running?.startedAt ?? 0) > 0)
      assert.deepEqual(running?.labels, { a: 'b' })
      await runtime.stopContainer(id, 60_000)
      await exited(id)
      const stopped = await runtime.containerStatus(id)
      assert.equal(stopped?.state, 'exited')
      assert.equal(stopped?.exitCode, 143)
      assert.equal(stopped?.reason, 'Error')
      assert.ok((stopped?.finishedAt ?? 0) >= (stopped?.startedAt ?? 1))
      await runtime.removeSandbox(sandbox)
      assert.equal(await runtime.containerStatus(id), null)
    })

    test('a container that ends by itself leaves its exit code and its log', async () => {
      const config = sandboxOf(directory, {
        annotations: under.exits.annotations,
        logDirectory: join(directory, 'logs', 'self'),
      })
      const sandbox = await runtime.runSandbox(config)
      const id = await runtime.createContainer(sandbox, containerOf({ command: under.exits.command }))
      await runtime.startContainer(id)
      await exited(id)
      const status = await runtime.containerStatus(id)
      assert.equal(status?.state, 'exited')
      assert.equal(status?.exitCode, 3)
      const log = await readFile(status?.logPath ?? '', 'utf8')
      assert.match(log, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|\+00:00) stdout F hello\n$/)
      await runtime.removeContainer(id)
      assert.match(await readFile(status?.logPath ?? '', 'utf8'), /hello/)
      await runtime.removeSandbox(sandbox)
    })

    test('stopping a sandbox ends its containers at once', async () => {
      const sandbox = await runtime.runSandbox(sandboxOf(directory))
      const id = await runtime.createContainer(sandbox, containerOf({ command: under.runs.command }))
      await runtime.startContainer(id)
      await runtime.stopSandbox(sandbox)
      assert.equal((await runtime.containerStatus(id))?.exitCode, 137)
      await runtime.removeSandbox(sandbox)
    })

    test('exec runs in a running container only', async () => {
      const sandbox = await runtime.runSandbox(sandboxOf(directory))
      const id = await runtime.createContainer(sandbox, containerOf({ command: under.runs.command }))
      await assert.rejects(runtime.exec(id, ['true'], { timeoutMs: 1_000 }), { code: 'kubelet/runtime' })
      await runtime.startContainer(id)
      assert.equal((await runtime.exec(id, ['true'], { timeoutMs: 60_000 })).exitCode, 0)
      await runtime.removeSandbox(sandbox)
    })

    test('a log that was renamed is followed by a new one', { skip: name === 'simulated' }, async () => {
      const sandbox = await runtime.runSandbox(sandboxOf(directory))
      const id = await runtime.createContainer(sandbox, containerOf({ command: under.runs.command }))
      await runtime.startContainer(id)
      const { logPath = '' } = (await runtime.containerStatus(id)) ?? {}
      await rename(logPath, `${logPath}.old`)
      await runtime.reopenLog(id)
      await until('a new log', () => existsSync(logPath))
      await runtime.removeSandbox(sandbox)
    })

    test('what a running container uses is told under its id', async () => {
      const sandbox = await runtime.runSandbox(sandboxOf(directory))
      const id = await runtime.createContainer(sandbox, containerOf({ command: under.runs.command }))
      await runtime.startContainer(id)
      await until('usage of the container', async () => {
        const usage = (await runtime.containerUsage()).find(each => each.id === id)
        return usage !== undefined && (name === 'simulated' || usage.workingSetBytes > 0)
      })
      await runtime.removeSandbox(sandbox)
      assert.ok((await runtime.containerUsage()).every(usage => usage.id !== id))
    })

    test('listing can be narrowed to a pod', async () => {
      const metadata = { name: 'other', namespace: 'default', uid: 'uid-2', attempt: 0 }
      const sandbox = await runtime.runSandbox(sandboxOf(directory, { metadata }))
      const id = await runtime.createContainer(sandbox, containerOf())
      assert.deepEqual(
        (await runtime.listContainers('uid-2')).map(container => container.id),
        [id],
      )
      assert.deepEqual(await runtime.listContainers('uid-3'), [])
      await runtime.removeSandbox(sandbox)
    })

    test('what does not exist cannot be started, and removing it is no error', async () => {
      await assert.rejects(runtime.startContainer('nope'), { code: 'kubelet/runtime' })
      await runtime.removeContainer('nope')
      await runtime.removeSandbox('nope')
      assert.equal(await runtime.containerStatus('nope'), null)
    })
  })
}
