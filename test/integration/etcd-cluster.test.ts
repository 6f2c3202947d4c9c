/** etcd's API on each of three members: whoever is asked answers for all of them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { bytesIn, fieldsOf, GrpcClient, GrpcStream, numberIn } from '../support/grpc-client.ts'
import { run } from '../support/kubectl.ts'
import { StoreCluster } from '../support/store-cluster.ts'
import type { StoreMember } from '../support/store-member.ts'
import { until } from '../support/until.ts'

const environment = { ETCDCTL_API: '3' }
const hasEtcdctl = spawnSync('etcdctl', ['version'], { env: { ...process.env, ...environment } }).status === 0
const skip = hasEtcdctl ? false : 'etcdctl is not installed (Debian: apt-get install etcd-client)'

const kv = (name: string) => `/etcdserverpb.KV/${name}`
const maintenance = (name: string) => `/etcdserverpb.Maintenance/${name}`

describe("etcd's API on three members", () => {
  let cluster: StoreCluster
  const clients = new Map<number, GrpcClient>()
  const clientOf = ({ id }: StoreMember) => clients.get(id) as GrpcClient

  before(async () => {
    cluster = await StoreCluster.start({ size: 3, etcd: true })
    for (const member of cluster.members) {
      clients.set(member.id, new GrpcClient({ path: member.options.etcdSocket ?? '' }))
    }
  })
  after(async () => {
    for (const client of clients.values()) client.close()
    await cluster?.close()
  })

  const put = async (member: StoreMember, key: string, value: string, lease = 0) => {
    const { status, message } = await clientOf(member).call(kv('Put'), writer => {
      writer.bytes(1, Buffer.from(key))
      writer.bytes(2, Buffer.from(value))
      writer.int64(3, lease)
    })
    assert.equal(status, 0, message)
  }
  const get = async (member: StoreMember, key: string) => {
    const { status, messages } = await clientOf(member).call(kv('Range'), writer =>
      writer.bytes(1, Buffer.from(key)),
    )
    assert.equal(status, 0)
    const [found] = bytesIn(messages[0], 2)
    return found === undefined ? null : String(bytesIn(found, 5)[0])
  }
  const ask = async (member: StoreMember, method: string, revision = 0) => {
    const { status, message, messages } = await clientOf(member).call(method, writer =>
      writer.int64(1, revision),
    )
    return { status, message, answer: messages[0] }
  }

  test('a write through any member is read at once through every other', async () => {
    for (let round = 0; round < 10; round++) {
      for (const writer of cluster.members) {
        await put(writer, '/c/a', `${round} ${writer.id}`)
        for (const reader of cluster.members) assert.equal(await get(reader, '/c/a'), `${round} ${writer.id}`)
      }
    }
  })

  test('members with the same keys have the same hash', async () => {
    await cluster.settle()
    const answers = await Promise.all(cluster.members.map(member => ask(member, maintenance('HashKV'))))
    const hashes = new Set(answers.map(({ answer }) => `${numberIn(answer, 2)} at ${numberIn(answer, 4)}`))
    assert.equal(hashes.size, 1, [...hashes].join(', '))
  })

  test('etcdctl compares the members over their unix sockets', { skip }, async () => {
    const endpoints = cluster.members.map(({ options }) => `unix://${options.etcdSocket}`).join(',')
    const etcdctl = (...args: string[]) =>
      run('etcdctl', ['--endpoints', endpoints, ...args], { env: environment })
    await cluster.settle()
    const { stdout } = await etcdctl('endpoint', 'hashkv')
    const hashes = stdout
      .trim()
      .split('\n')
      .map(line => line.split(', ')[1])
    assert.deepEqual([hashes.length, new Set(hashes).size], [3, 1], stdout)
    const statuses: { Status: { leader: number } }[] = JSON.parse(
      (await etcdctl('endpoint', 'status', '-w', 'json')).stdout,
    )
    const { id } = await cluster.leader()
    assert.deepEqual(
      statuses.map(({ Status }) => Status.leader),
      [id, id, id],
    )
    assert.match((await etcdctl('defrag')).stdout, /(Finished.*\s*){3}/)
    assert.match(
      (await etcdctl('member', 'add', 'x', '--peer-urls', 'http://10.0.0.1:1')).stderr,
      /mk8s join/,
    )
  })

  test('a watch on a follower shows what is written through another', async () => {
    const [watcher, writer] = await cluster.followers()
    assert.ok(watcher && writer)
    const watch = new GrpcStream(clientOf(watcher).open('/etcdserverpb.Watch/Watch'))
    watch.send(message => message.message(1, create => create.bytes(1, Buffer.from('/c/w'))))
    await watch.next()
    await put(writer, '/c/w', 'seen')
    const shown = await watch.next()
    assert.equal(bytesIn(shown ?? undefined, 11).length, 1)
    watch.stream.close()
  })

  test('etcdctl is told by every member how long a lease lives, and that does not renew it', {
    skip,
  }, async () => {
    const etcdctl = (member: StoreMember, ...args: string[]) =>
      run('etcdctl', ['--endpoints', `unix://${member.options.etcdSocket}`, ...args], { env: environment })
    const leader = await cluster.leader()
    const granted = await etcdctl(leader, 'lease', 'grant', '4')
    const id = /lease (\w+) granted/.exec(granted.stdout)?.[1] ?? ''
    await etcdctl(leader, 'put', '/c/ttl', 'x', '--lease', id)
    const left = async (member: StoreMember) => {
      const { stdout, stderr } = await etcdctl(member, 'lease', 'timetolive', id, '--keys')
      if (/already expired/.test(stdout)) return -1
      const told = /granted with TTL\(4s\), remaining\((\d)s\), attached keys\(\[\/c\/ttl\]\)/.exec(stdout)
      assert.ok(told !== null, stdout + stderr)
      return Number(told[1])
    }
    for (const member of cluster.members) assert.ok((await left(member)) >= 0)
    const [follower] = await cluster.followers()
    assert.ok(follower)
    await until('the lease is over although it is asked for', async () => (await left(follower)) === -1)
  })

  test('a lease lives as long as a follower is told to keep it', async () => {
    const [follower] = await cluster.followers()
    assert.ok(follower)
    const granted = await ask(follower, '/etcdserverpb.Lease/LeaseGrant', 2)
    const lease = numberIn(granted.answer, 2)
    await put(follower, '/c/l', 'x', lease)
    const alive = new GrpcStream(clientOf(follower).open('/etcdserverpb.Lease/LeaseKeepAlive'))
    const end = performance.now() + 4_000
    while (performance.now() < end) {
      alive.send(message => message.int64(1, lease))
      assert.equal(numberIn((await alive.next()) ?? undefined, 3), 2)
    }
    assert.equal(await get(follower, '/c/l'), 'x')
    alive.stream.close()
    await until('the lease is over', async () => (await get(follower, '/c/l')) === null)
  })

  test('leadership moves through the leader, and through nobody else', async () => {
    const leader = await cluster.leader()
    const [heir] = await cluster.followers()
    assert.ok(heir)
    const refused = await ask(heir, maintenance('MoveLeader'), heir.id)
    assert.deepEqual([refused.status, refused.message], [9, 'etcdserver: not leader'])
    assert.equal((await ask(leader, maintenance('MoveLeader'), heir.id)).status, 0)
    await until('the heir leads', async () => (await cluster.leader()) === heir)
    for (const member of cluster.members) {
      await until('everybody knows', async () => {
        const { answer } = await ask(member, maintenance('Status'))
        return numberIn(answer, 4) === heir.id && !fieldsOf(answer).has(10)
      })
      assert.equal((await ask(member, maintenance('Defragment'))).status, 0)
    }
    await put(leader, '/c/after', 'moved')
    assert.equal(await get(heir, '/c/after'), 'moved')
  })
})
