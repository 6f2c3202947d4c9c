/** What a client may do with real containers: the streams of exec, attach and port-forward. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Runtime } from '../../../src/runtime/kubelet/runtime/runtime.ts'
import { containerOf, sandboxOf } from './runtime-contract.ts'

export interface StreamsUnderTest {
  /** Why it cannot be tried here. */
  readonly why: string | undefined
  /** Where the same images and sandboxes are as in the contract suite. */
  readonly open: () => Runtime
  readonly directory: () => string
}

export function describeStreams(name: string, { why, open, directory }: StreamsUnderTest): void {
  describe(`streams of real containers, ${name}`, { skip: why ?? false }, () => {
    let runtime: Runtime
    let sandbox = ''
    let id = ''
    before(async () => {
      runtime = open()
      await runtime.start(() => {})
      sandbox = await runtime.runSandbox(sandboxOf(directory()))
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
      // Runtimes may tell a size only after the start, and of none this program says nothing but an error.
      const script = 'until stty size 2>/dev/null | grep -v "^0 0$"; do sleep 0.05; done'
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
}

async function textOf(stream: AsyncIterable<Buffer> | null): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream ?? []) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
