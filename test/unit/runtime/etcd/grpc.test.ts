import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { answerOf, frame, GrpcClient } from '../../../support/grpc-client.ts'
import { until } from '../../../support/until.ts'
import { creatingWatch, kv, openWatch, over, putting, withEndpoint } from './setup.ts'

test('what is not there is unimplemented, and what is no gRPC is refused', async () => {
  await withEndpoint(async ({ client }) => {
    const call = (path: string) => client.call(path, () => {})
    assert.deepEqual(await call('/etcdserverpb.KV/Nope'), {
      status: 12,
      message: 'unknown method Nope for service etcdserverpb.KV',
      messages: [],
    })
    assert.match((await call('/nope.Nope/Nope')).message, /unknown service nope.Nope/)
    assert.equal((await call('/nope')).status, 12)
    const { status, message } = await call('/etcdserverpb.Maintenance/Snapshot')
    assert.equal(status, 12)
    assert.match(message, /^mk8s: /)
    const stream = client.open(kv('Range'), { 'content-type': 'application/json' })
    const [headers] = await new Promise<unknown[]>(resolve => {
      stream.on('response', (...args) => resolve(args))
      stream.end()
    })
    assert.equal((headers as Record<string, number>)[':status'], 415)
  })
})

test('metrics, health and version are pages on the same port', async () => {
  await withEndpoint(async ({ client }) => {
    const page = async (path: string) => {
      const stream = client.session.request({ ':path': path })
      let body = ''
      for await (const chunk of stream) body += chunk
      return body
    }
    assert.equal(await page('/metrics'), 'up 1\n')
    assert.deepEqual(JSON.parse(await page('/health')), { health: 'true' })
    assert.match(await page('/version'), /"etcdserver":"3\./)
  })
})

test('malformed messages end their call and nothing else', async () => {
  await withEndpoint(async ({ client }) => {
    const whole = frame(putting('a', '1'))
    assert.equal((await client.send(kv('Put'), whole.subarray(0, -1))).status, 13, 'cut short')
    assert.equal((await client.send(kv('Put'), Buffer.alloc(0))).status, 13, 'nothing at all')
    const garbage = Buffer.concat([Buffer.from([0, 0, 0, 0, 4]), Buffer.from('0a7f0000', 'hex')])
    const refused = await client.send(kv('Put'), garbage)
    assert.equal(refused.status, 13)
    assert.match(refused.message, /unmarshal/)
    const compressed = Buffer.from(whole)
    compressed[0] = 1
    assert.equal((await client.send(kv('Put'), compressed)).status, 12)
    assert.equal((await client.call(kv('Put'), putting('a', '1'))).status, 0)
  })
})

test('a message may come in any number of pieces', async () => {
  await withEndpoint(async ({ client, store }) => {
    const stream = client.open(kv('Put'))
    const answer = answerOf(stream)
    const bytes = frame(putting('a', 'x'.repeat(100)))
    for (let at = 0; at < bytes.length; at += 7) stream.write(bytes.subarray(at, at + 7))
    assert.equal((await answer).status, 0, 'without the end of the request, too')
    assert.equal(store.get('a')?.value.length, 100)
  })
})

test('oversized requests are refused in etcd’s words, before they are gathered', async () => {
  await withEndpoint(async ({ client, store }) => {
    const large = await client.call(kv('Put'), putting('a', Buffer.alloc(1_600_000)))
    assert.deepEqual([large.status, large.message], [3, 'etcdserver: request is too large'])
    const stream = client.open(kv('Put'))
    const answer = answerOf(stream)
    stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]))
    const { status, message } = await answer
    assert.equal(status, 8)
    assert.match(message, /larger than max/)
    assert.equal((await client.call(kv('Put'), putting('b', Buffer.alloc(1_500_000)))).status, 0)
    assert.equal(store.get('b')?.value.length, 1_500_000)
    const [read] = (await client.call(kv('Range'), over('b'))).messages
    assert.ok(read !== undefined && read.length > 1_500_000)
  })
})

test('a deadline ends the call', async () => {
  await withEndpoint(async ({ client }) => {
    const stream = client.open(kv('Range'), { 'grpc-timeout': '20m' })
    const { status, message } = await answerOf(stream)
    assert.deepEqual([status, message], [4, 'context deadline exceeded'])
  })
})

test('cancelled streams and broken connections leave nothing behind', async () => {
  await withEndpoint(async ({ client, path, store }) => {
    for (let n = 0; n < 20; n++) {
      const watch = openWatch(client)
      watch.send(creatingWatch('a', 'b'))
      await watch.next()
      watch.stream.close(8)
    }
    const other = new GrpcClient({ path })
    const watch = openWatch(other)
    watch.send(creatingWatch('a', 'b'))
    await watch.next()
    other.session.destroy()
    const garbage = connect(path)
    garbage.end('GET / HTTP/1.1\r\n\r\n')
    garbage.on('error', () => {})
    garbage.resume()
    let watched = 0
    const counting = store.watch(
      { start: 'a', end: 'b', after: store.revision },
      { onEvents: () => void watched++, onClosed() {} },
    )
    await until('the server answers', async () => {
      return (await client.call(kv('Put'), putting('a', '1'))).status === 0
    })
    assert.ok(watched >= 1)
    counting.close()
  })
})
