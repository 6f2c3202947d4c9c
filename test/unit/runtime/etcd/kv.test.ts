import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WireWriter } from '../../../../src/base/wire-writer.ts'
import { bytesIn, type GrpcClient, numberIn } from '../../../support/grpc-client.ts'
import { kv, over, putting, withEndpoint } from './setup.ts'

const HEADER = 1
const END = Buffer.from([0])

async function put(client: GrpcClient, ...args: Parameters<typeof putting>): Promise<Buffer> {
  const { status, message, messages } = await client.call(kv('Put'), putting(...args))
  assert.equal(status, 0, message)
  return messages[0] ?? Buffer.alloc(0)
}

async function range(client: GrpcClient, ...args: Parameters<typeof over>): Promise<Buffer> {
  const { status, message, messages } = await client.call(kv('Range'), over(...args))
  assert.equal(status, 0, message)
  return messages[0] ?? Buffer.alloc(0)
}

async function refused(client: GrpcClient, method: string, write: (writer: WireWriter) => void) {
  const { status, message } = await client.call(kv(method), write)
  return `${status} ${message}`
}

const keysIn = (answer: Buffer) =>
  bytesIn(answer, 2).map(entry => bytesIn(entry, 1)[0]?.toString('latin1') ?? '')
const revisionIn = (answer: Buffer) => numberIn(bytesIn(answer, HEADER)[0], 3)

test('a put is read back with everything that etcd tells about a key', async () => {
  await withEndpoint(async ({ client }) => {
    const first = revisionIn(await put(client, 'a', '1'))
    const second = await put(client, 'a', '2', writer => writer.bool(4, true))
    assert.equal(revisionIn(second), first + 1)
    assert.equal(bytesIn(bytesIn(second, 2)[0], 5)[0]?.toString(), '1', 'prev_kv')
    const [entry] = bytesIn(await range(client, 'a'), 2)
    assert.deepEqual(
      [2, 3, 4].map(field => numberIn(entry, field)),
      [first, first + 1, 2],
    )
    const header = bytesIn(second, HEADER)[0]
    assert.equal(numberIn(header, 4), 1, 'the term')
    assert.equal(numberIn(header, 2), 0xabc, 'the member')
  })
})

test('keys are bytes, in the order of bytes', async () => {
  await withEndpoint(async ({ client }) => {
    const keys = ['00', '0001', '7f', '80', 'c3bc', 'ff', 'ff00', 'ffff'].map(hex => Buffer.from(hex, 'hex'))
    for (const key of [...keys].reverse()) await put(client, key, 'x')
    const all = keysIn(await range(client, END, END))
    assert.deepEqual(
      all,
      keys.map(key => key.toString('latin1')),
    )
    assert.equal(keysIn(await range(client, Buffer.from([0xff]), END)).length, 3)
    assert.equal(keysIn(await range(client, Buffer.from([0x80]), Buffer.from([0xff]))).length, 2)
  })
})

test('a range knows limits, orders, filters, counts and the past', async () => {
  await withEndpoint(async ({ client }) => {
    for (const key of ['a', 'c', 'b', 'd']) await put(client, key, key === 'c' ? '9' : key)
    const revision = revisionIn(await put(client, 'a', 'z'))
    await put(client, 'e', 'later')
    const get = (more: (writer: WireWriter) => void) => range(client, 'a', 'f', more)
    const limited = await get(writer => writer.int64(3, 2))
    assert.deepEqual(keysIn(limited), ['a', 'b'])
    assert.deepEqual([numberIn(limited, 3), numberIn(limited, 4)], [1, 5], 'more, and the count of all')
    const sorted = (order: number, target: number, limit = 0) =>
      get(writer => {
        writer.int64(3, limit)
        writer.int64(5, order)
        writer.int64(6, target)
      })
    assert.deepEqual(keysIn(await sorted(2, 0)), ['e', 'd', 'c', 'b', 'a'])
    assert.deepEqual(keysIn(await sorted(1, 3)), ['c', 'b', 'd', 'a', 'e'], 'by mod revision')
    assert.deepEqual(keysIn(await sorted(0, 4, 2)), ['c', 'b'], 'by value, ascending by itself')
    assert.deepEqual(keysIn(await sorted(2, 2)), ['e', 'd', 'b', 'c', 'a'], 'by create revision')
    const past = await get(writer => writer.int64(4, revision))
    assert.deepEqual(keysIn(past), ['a', 'b', 'c', 'd'])
    assert.deepEqual(keysIn(await get(writer => writer.int64(10, revision))), ['a', 'e'], 'min mod')
    assert.deepEqual(keysIn(await get(writer => writer.int64(13, revision - 4))), ['a'], 'max create')
    const counted = await get(writer => writer.bool(9, true))
    assert.deepEqual([keysIn(counted).length, numberIn(counted, 4)], [0, 5])
    const [only] = bytesIn(await range(client, 'a', '', writer => writer.bool(8, true)), 2)
    assert.deepEqual(bytesIn(only, 5), [], 'keys only')
    assert.equal(numberIn(await range(client, 'b', 'a'), 4), 0, 'an end before the start')
    assert.equal(numberIn(await range(client, 'nope'), 4), 0)
  })
})

test('refusals have etcd’s codes and words', async () => {
  await withEndpoint(async ({ client, store }) => {
    await put(client, 'a', '1')
    await put(client, 'a', '2')
    await put(client, 'a', '3')
    const compaction = (revision: number) => (writer: WireWriter) => writer.int64(1, revision)
    assert.equal((await client.call(kv('Compact'), compaction(store.revision - 1))).status, 0)
    const at = (revision: number) => over('a', '', writer => writer.int64(4, revision))
    const compacted = '11 etcdserver: mvcc: required revision has been compacted'
    const future = '11 etcdserver: mvcc: required revision is a future revision'
    assert.equal(await refused(client, 'Range', at(1)), compacted)
    assert.equal(await refused(client, 'Range', at(99)), future)
    assert.equal(await refused(client, 'Compact', compaction(1)), compacted)
    assert.equal(await refused(client, 'Compact', compaction(99)), future)
    assert.equal(await refused(client, 'Put', putting('', '1')), '3 etcdserver: key is not provided')
    assert.equal(await refused(client, 'Range', over('')), '3 etcdserver: key is not provided')
    const flag = (field: number) => (writer: WireWriter) => writer.bool(field, true)
    assert.equal(await refused(client, 'Put', putting('a', '1', flag(5))), '3 etcdserver: value is provided')
    assert.equal(await refused(client, 'Put', putting('x', '', flag(5))), '3 etcdserver: key not found')
    const leased = putting('a', '1', writer => writer.int64(3, 42))
    assert.equal(await refused(client, 'Put', leased), '5 etcdserver: requested lease not found')
    const sorted = over('a', '', writer => writer.int64(6, 9))
    assert.equal(await refused(client, 'Range', sorted), '3 etcdserver: invalid sort option')
    assert.match(await refused(client, 'Put', putting('x'.repeat(1024), '')), /^3 mk8s: a key has at most/)
    const object = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}'
    for (const bad of ['text', '\x01{"kind":"ConfigMap"}', `\x01${object.slice(0, -1)}`, object]) {
      assert.match(await refused(client, 'Put', putting('/registry/x', bad)), /^3 mk8s: values under/)
    }
    await client.call('Put', putting('/registry/x', `\x01${object}`))
  })
})

// Field numbers of Compare: result 1, target 2, key 3, then the operand. RequestOp: range 1, put 2, delete 3, txn 4.
const compare = (key: string, target: number, field: number, operand: number | string, result = 0) => {
  return (writer: WireWriter) => {
    writer.int64(1, result)
    writer.int64(2, target)
    writer.bytes(3, Buffer.from(key))
    if (typeof operand === 'number') writer.int64(field, operand)
    else writer.bytes(field, Buffer.from(operand))
  }
}
type Write = (writer: WireWriter) => void
const txn = (compares: Write[], success: Write[], failure: Write[]): Write => {
  return writer => {
    for (const write of compares) writer.message(1, write)
    for (const write of success) writer.message(2, write)
    for (const write of failure) writer.message(3, write)
  }
}
const op =
  (field: number, write: Write): Write =>
  writer =>
    writer.message(field, write)

test('a transaction compares, branches, nests and answers each of its operations', async () => {
  await withEndpoint(async ({ client, store }) => {
    await put(client, 'a', '1')
    await put(client, 'old/1', '')
    await put(client, 'old/2', '')
    const nested = txn([compare('a', 3, 7, '1')], [op(2, putting('nested', 'yes'))], [])
    const request = txn(
      [compare('a', 3, 7, '1'), compare('absent', 1, 5, 0), compare('a', 0, 4, 5, 2)],
      [
        op(
          2,
          putting('a', '2', writer => writer.bool(4, true)),
        ),
        op(1, over('a')),
        op(
          3,
          over('old/', 'old0', writer => writer.bool(3, true)),
        ),
        op(4, nested),
      ],
      [op(1, over('a'))],
    )
    const [first] = (await client.call(kv('Txn'), request)).messages
    assert.equal(numberIn(first, 2), 1, 'succeeded')
    const [putOp, rangeOp, deleteOp, txnOp] = bytesIn(first, 3)
    const previous = bytesIn(bytesIn(putOp, 2)[0], 2)[0]
    assert.equal(bytesIn(previous, 5)[0]?.toString(), '1')
    const seen = bytesIn(bytesIn(rangeOp, 1)[0], 2)[0]
    assert.equal(bytesIn(seen, 5)[0]?.toString(), '2', 'a range sees the put before it')
    const deletion = bytesIn(deleteOp, 3)[0]
    assert.deepEqual([numberIn(deletion, 2), bytesIn(deletion, 3).length], [2, 2])
    assert.equal(numberIn(bytesIn(txnOp, 4)[0], 2), 1, 'the one inside looked at the state before')
    assert.equal(store.get('nested')?.modRevision, store.get('a')?.modRevision)
    const [second] = (await client.call(kv('Txn'), request)).messages
    assert.equal(numberIn(second, 2), 0)
    assert.equal(bytesIn(second, 3).length, 1)
  })
})

test('a transaction that writes a key twice, or too much, is refused', async () => {
  await withEndpoint(async ({ client }) => {
    const duplicate = '3 etcdserver: duplicate key given in txn request'
    const twice = [op(2, putting('a', '1')), op(2, putting('a', '2'))]
    assert.equal(await refused(client, 'Txn', txn([], twice, [])), duplicate)
    const deleted = [op(3, over('a', 'c')), op(2, putting('b', '2'))]
    assert.equal(await refused(client, 'Txn', txn([], [], deleted)), duplicate)
    const inside = [op(2, putting('a', '1')), op(4, txn([], [], [op(2, putting('a', '2'))]))]
    assert.equal(await refused(client, 'Txn', txn([], inside, [])), duplicate)
    const either = [op(4, txn([], [op(2, putting('a', '1'))], [op(2, putting('a', '2'))]))]
    assert.equal((await client.call(kv('Txn'), txn([], either, []))).status, 0)
    const many = Array.from({ length: 129 }, (_, n) => op(2, putting(`${n}`, '')))
    assert.match(await refused(client, 'Txn', txn([], many, [])), /too many operations in txn request/)
  })
})
