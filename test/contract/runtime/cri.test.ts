/** The contract suite against a real containerd, and what only real containers can show. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { busyboxImage } from '../../../src/runtime/images/busybox-image.ts'
import { importArchive } from '../../../src/runtime/images/import-archive.ts'
import { CriRuntime } from '../../../src/runtime/kubelet/runtime/cri/cri-runtime.ts'
import {
  architecture,
  startTestContainerd,
  type TestContainerd,
  whyNoContainers,
} from '../../support/containerd.ts'
import { containerOf, describeRuntime, sandboxOf } from './runtime-contract.ts'

const why = whyNoContainers()
let bench: TestContainerd

const openRuntime = () =>
  new CriRuntime({
    socketPath: bench.socketPath,
    nodeId: bench.nodeId,
    clock: systemClock,
    log: silentLog,
  })

if (why !== undefined) test('the CRI runtime', { skip: why }, () => {})
else {
  before(async () => {
    bench = await startTestContainerd()
    const archive = await busyboxImage('docker.io/example/web:1', architecture())
    await importArchive(bench.socketPath, { archive })
  })
  after(() => bench?.remove())
  describeRuntime('cri', {
    open: openRuntime,
    exits: { command: ['sh', '-c', 'echo hello; exit 3'], annotations: {} },
    runs: { command: ['sh', '-c', 'trap "exit 143" TERM; while :; do sleep 0.1; done'] },
  })
}

describe('streams of real containers', { skip: why ?? false }, () => {
  let runtime: CriRuntime
  let sandbox = ''
  let id = ''
  before(async () => {
    runtime = openRuntime()
    await runtime.start(() => {})
    sandbox = await runtime.runSandbox(sandboxOf(bench.directory))
    id = await runtime.createContainer(sandbox, containerOf({ logPath: 'streams/0.log' }))
    await runtime.startContainer(id)
  })
  after(async () => {
    await runtime.removeSandbox(sandbox)
    await runtime.stop()
  })
  const plain = { stdin: true, stdout: true, stderr: true, tty: false }

  test('exec keeps output and errors apart, ends its input, and tells the exit code', async () => {
    const streams = await runtime.execStream(id, ['sh', '-c', 'echo oops >&2; wc -c; exit 7'], plain)
    streams.stdin?.end(Buffer.alloc(1_000_000, 'a'))
    const [output, errors] = await Promise.all([textOf(streams.stdout), textOf(streams.stderr)])
    assert.equal(output.trim(), '1000000')
    assert.equal(errors, 'oops\n')
    assert.equal(await streams.exited, 7)
  })

  test('exec with a terminal knows its size', async () => {
    const size = { width: 91, height: 27 }
    const script = 'while [ "$(stty size)" = "0 0" ]; do sleep 0.05; done; stty size'
    const options = { stdin: true, stdout: true, stderr: false, tty: true, size }
    const streams = await runtime.execStream(id, ['sh', '-c', script], options)
    assert.equal((await textOf(streams.stdout)).trim(), '27 91')
    assert.equal(await streams.exited, 0)
  })

  test('a client that goes away ends what it started', async () => {
    const streams = await runtime.execStream(id, ['sleep', '600'], plain)
    streams.close()
    assert.equal(await streams.exited, 137)
  })
})

async function textOf(stream: AsyncIterable<Buffer> | null): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream ?? []) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
