/** The thread that hashes uploads: right sums, nobody else's memory, and nothing lost when it ends. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import test, { type TestContext } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { startWorker } from '../../../../src/host/worker.ts'
import { hashesBy } from '../../../../src/runtime/image-registry/hashes.ts'
import { until } from '../../../support/until.ts'

function startHashing(t: TestContext) {
  const worker = startWorker('hash', {})
  const { port1, port2 } = new MessageChannel()
  worker.postMessage({ port: port1 }, [port1])
  t.after(() => worker.terminate())
  // Otherwise nothing keeps this process while it waits.
  const begin = hashesBy(port2)
  port2.ref()
  t.after(() => port2.close())
  return { begin, worker }
}

test('hashes that grow at the same time are each their own, however much comes', async t => {
  const { begin } = startHashing(t)
  const pieces = Array.from({ length: 24 }, () => randomBytes(512 * 1024))
  const sumOf = (algorithm: string) =>
    pieces.reduce((hash, piece) => hash.update(piece), createHash(algorithm)).digest('hex')
  const wanted = [sumOf('sha256'), sumOf('sha512')]
  const running = (['sha256', 'sha512'] as const).map(begin)
  const dropped = begin('sha256')
  for (const piece of pieces) {
    await dropped.update([Buffer.from(piece)])
    for (const hash of running) await hash.update([Buffer.from(piece)])
  }
  dropped.drop()
  assert.deepEqual(await Promise.all(running.map(hash => hash.digest())), wanted)
})

test('memory that others have parts of is copied, and whole memory given away', async t => {
  const { begin } = startHashing(t)
  const shared = new Uint8Array(64).fill(1)
  const whole = new Uint8Array(64).fill(2)
  const hash = begin('sha256')
  await hash.update([shared.subarray(0, 32), shared.subarray(32), whole])
  assert.equal(shared.length, 64)
  assert.equal(whole.length, 0)
  const content = Buffer.concat([Buffer.alloc(64, 1), Buffer.alloc(64, 2)])
  assert.equal(await hash.digest(), createHash('sha256').update(content).digest('hex'))
})

test('a thread that ends knows nothing any more, and later hashes do without it', async t => {
  const { begin, worker } = startHashing(t)
  const hash = begin('sha256')
  await hash.update([Buffer.from('x')])
  await worker.terminate()
  await until('it is noticed', async () => (await hash.digest()) === null)
  await hash.update([Buffer.alloc(8 * 1024 * 1024)])
  const later = begin('sha256')
  await later.update([Buffer.from('x')])
  assert.equal(await later.digest(), createHash('sha256').update('x').digest('hex'))
})
