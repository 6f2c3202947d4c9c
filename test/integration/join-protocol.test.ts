/** The join listener and its client over real TLS: what is sent to whom, what is refused, and what is left behind. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { request as httpsRequest } from 'node:https'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { after, before, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { systemClock } from '../../src/base/clock.ts'
import { Mk8sError } from '../../src/base/errors.ts'
import { createJoinClient } from '../../src/runtime/join/join-client.ts'
import { TOKENS_PREFIX, TOKENS_RANGE } from '../../src/runtime/join/tokens.ts'
import { type JoinCluster, makePki, startJoinCluster } from '../support/join-cluster.ts'
import { until } from '../support/until.ts'

let cluster: JoinCluster

before(async () => {
  const route = { method: 'GET' as const, path: '/v1/member', handle: async () => ({ role: 'voter' }) }
  cluster = await startJoinCluster({ peerRoutes: [route] })
})
after(() => cluster.close())

const refusedWith = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Mk8sError, String(error))
  assert.equal(error.code, code)
  assert.match(`${error.message}; ${error.why ?? ''}; ${error.hint ?? ''}`, text)
  return true
}

/** A whole join of a server, with somebody who answers where it says that it is found. */
async function joinServer(name: string) {
  const made = await cluster.addNode()
  const client = cluster.client({ fingerprint: made.fingerprint })
  const place = await freePort()
  const ports = { api: 16_443, join: 25_000, raft: place, kubelet: 10_250 }
  const answer = await client.begin(cluster.request(made.token, { name, ports }))
  return { made, client, answer, raftPort: place }
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

interface Raw {
  readonly status: number
  readonly text: string
}

function raw(
  path: string,
  over: {
    method?: string
    body?: string
    cert?: string
    key?: string
    headers?: Record<string, string>
  } = {},
): Promise<Raw> {
  const { body, ...options } = over
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      { host: '127.0.0.1', port: cluster.port, path, rejectUnauthorized: false, agent: false, ...options },
      message => {
        const chunks: Buffer[] = []
        message.on('data', chunk => chunks.push(chunk))
        message.on('end', () =>
          resolve({ status: message.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

test('without a token or a certificate the port answers health and nothing else', async () => {
  assert.deepEqual(await raw('/healthz'), { status: 200, text: '{"status":"OK"}' })
  for (const path of ['/', '/v1/member', '/v1/join', '/v1/join/abc/commit', '/metrics', '/version']) {
    const { status, text } = await raw(path)
    assert.equal(status, 401, path)
    assert.doesNotMatch(text, /voter|node|version/)
  }
})

test('a server of the cluster is answered by its certificate, a kubelet is not', async () => {
  const { leaves } = cluster.pki
  const admin = await raw('/v1/member', { cert: leaves.admin.certificate, key: leaves.admin.key })
  assert.deepEqual(admin, { status: 200, text: '{"role":"voter"}' })
  const kubelet = await raw('/v1/member', { cert: leaves.kubelet.certificate, key: leaves.kubelet.key })
  assert.equal(kubelet.status, 401)
  const other = await makePki('1')
  const foreign = await raw('/v1/member', {
    cert: other.leaves.admin.certificate,
    key: other.leaves.admin.key,
  })
  assert.equal(foreign.status, 401)
})

test('a server with the wrong fingerprint gets not one byte of the request', async () => {
  const other = await makePki('1')
  const received: Buffer[] = []
  const authority = other.authorities['cluster-ca'].certificate
  const impostor = createTlsServer(
    {
      key: other.leaves.apiserver.key,
      cert: other.leaves.apiserver.certificate + authority,
      minVersion: 'TLSv1.3',
    },
    socket => socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => socket.destroy()),
  )
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve))
  const address = impostor.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const made = await cluster.addNode()
  const client = createJoinClient({
    servers: [{ host: '127.0.0.1', port }],
    fingerprint: made.fingerprint,
    clock: systemClock,
  })
  await assert.rejects(
    client.connect(),
    refusedWith('pki/invalid', /fingerprint.*nothing|nothing.*fingerprint/),
  )
  await assert.rejects(
    client.begin(cluster.request(made.token)),
    refusedWith('pki/invalid', /nothing was sent/),
  )
  assert.equal(Buffer.concat(received).length, 0)
  client.close()
  impostor.close()
})

test("a worker's serving certificate of the same authority does not make a server", async () => {
  const { leaves, authorities } = cluster.pki
  const received: Buffer[] = []
  const impostor = createTlsServer(
    { key: leaves.kubelet.key, cert: leaves.kubelet.certificate + authorities['cluster-ca'].certificate },
    socket => socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => socket.destroy()),
  )
  await new Promise<void>(resolve => impostor.listen(0, '127.0.0.1', resolve))
  const address = impostor.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const { token, fingerprint } = await cluster.addNode()
  const client = createJoinClient({ servers: [{ host: '127.0.0.1', port }], fingerprint, clock: systemClock })
  await assert.rejects(
    client.begin(cluster.request(token)),
    refusedWith('pki/invalid', /not that of a server/),
  )
  assert.equal(Buffer.concat(received).length, 0)
  client.close()
  impostor.close()
})

test('a server joins: reserved, reached, made a member in one step with the end of its token, confirmed', async () => {
  const { made, client, answer, raftPort } = await joinServer('node-a')
  assert.match(made.fingerprint, /^[0-9a-f]{64}$/)
  assert.equal(answer.keys?.authorities['peer-ca'].key, cluster.pki.authorities['peer-ca'].key)
  assert.deepEqual(
    answer.members.map(({ nodeName }) => nodeName),
    ['node-1'],
  )
  await assert.rejects(
    client.commit(answer.attempt, { publicKeys: null }),
    refusedWith('refused', /firewall/),
  )
  assert.equal(cluster.members().length, 1)
  const { pki } = cluster
  const stored = cluster.store.range(TOKENS_RANGE).entries.map(({ value }) => value.toString())
  assert.ok(stored.every(text => !text.includes(made.token) && !text.includes(answer.attempt.secret)))
  const listener = await listenOn(raftPort, answer.memberId, pki)
  await client.commit(answer.attempt, { publicKeys: null })
  await client.commit(answer.attempt, { publicKeys: null })
  const record = cluster.members().find(({ nodeName }) => nodeName === 'node-a')
  assert.equal(record?.id.toString(16), answer.memberId)
  const state = await client.state(answer.attempt)
  assert.deepEqual([state?.state, state?.role, state?.settled], ['committed', 'spare', false])
  const again = cluster.request(made.token, { name: 'node-b' })
  await assert.rejects(client.begin(again), refusedWith('refused', /used/))
  await client.confirm(answer.attempt)
  assert.equal(await client.state(answer.attempt), null)
  await assert.rejects(client.begin(again), refusedWith('refused', /not known/))
  listener.close()
})

/** As `listenAs`, on the port that the joiner named. */
async function listenOn(port: number, memberId: string, _pki: unknown): Promise<{ close(): void }> {
  const inner = await cluster.listenAs(memberId)
  const relay = createTcpServer(socket => {
    const onward = connectTcp(inner.port, '127.0.0.1')
    socket.pipe(onward).pipe(socket)
    socket.on('error', () => onward.destroy())
    onward.on('error', () => socket.destroy())
  })
  await new Promise<void>(resolve => relay.listen(port, '127.0.0.1', resolve))
  return {
    close() {
      relay.close()
      inner.close()
    },
  }
}

test('whoever answers at the joiner’s address must be that very member', async () => {
  const { client, answer, raftPort } = await joinServer('node-forged')
  const listener = await listenOn(raftPort, 'abcdef', cluster.pki)
  await assert.rejects(
    client.commit(answer.attempt, { publicKeys: null }),
    refusedWith('refused', /another member/),
  )
  listener.close()
  await client.abort(answer.attempt)
})

test('an attempt that is taken back gives its token back, member record and all', async () => {
  const { made, client, answer, raftPort } = await joinServer('node-c')
  const listener = await listenOn(raftPort, answer.memberId, cluster.pki)
  await client.commit(answer.attempt, { publicKeys: null })
  assert.ok(cluster.members().some(({ nodeName }) => nodeName === 'node-c'))
  cluster.nodes.set('node-c', 'not-ready')
  await client.abort(answer.attempt)
  await client.abort(answer.attempt)
  listener.close()
  assert.ok(!cluster.members().some(({ nodeName }) => nodeName === 'node-c'))
  assert.ok(!cluster.nodes.has('node-c'))
  const second = await client.begin(cluster.request(made.token, { name: 'node-c' }))
  assert.notEqual(second.memberId, answer.memberId)
  await client.abort(second.attempt)
})

test('what a killed joiner left is replaced by the next attempt of the same node', async () => {
  const { client, answer, raftPort } = await joinServer('node-d')
  const listener = await listenOn(raftPort, answer.memberId, cluster.pki)
  await client.commit(answer.attempt, { publicKeys: null })
  const fresh = await cluster.addNode()
  const again = cluster.request(fresh.token, { name: 'node-d' })
  await assert.rejects(client.begin(again), refusedWith('refused', /joining at this moment/))
  listener.close()
  const second = await client.begin(again)
  assert.ok(!cluster.members().some(({ nodeName }) => nodeName === 'node-d'))
  await client.abort(second.attempt)
})

test('a reserved token is no other node’s, until its attempt gives up or the same node tries again', async () => {
  const { made, client, answer } = await joinServer('node-e')
  const other = cluster.request(made.token, { name: 'node-f' })
  await assert.rejects(client.begin(other), refusedWith('refused', /another node is joining.*node-e/))
  const retried = await client.begin(cluster.request(made.token, { name: 'node-e' }))
  assert.equal(await client.state(answer.attempt), null)
  await client.abort(retried.attempt)
  const third = await client.begin(other)
  await client.abort(third.attempt)
})

test('names, addresses, clocks, versions and roles that cannot be are refused, and the token stays good', async () => {
  const made = await cluster.addNode({ worker: true })
  const client = cluster.client({ fingerprint: made.fingerprint })
  const worker = { name: 'node-g', role: 'worker' as const }
  const good = cluster.request(made.token, worker)
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ ...good, node: { ...good.node, role: 'server' } }, /workers only/],
    [{ ...good, node: { ...good.node, name: 'node-1' } }, /a server node-1/],
    [{ ...good, timeMs: Date.now() - 3 * 3_600_000 }, /clocks differ by 3 hours/],
    [{ ...good, versions: { ...good.versions, kubernetes: 'v1.35.2' } }, /1\.35.*1\.36/],
    [{ ...good, versions: { ...good.versions, entry: 0 } }, /too old/],
  ]
  for (const [request, why] of cases)
    await assert.rejects(client.begin(request as typeof good), refusedWith('refused', why))
  for (const node of [{ name: '../etc' }, { address: 'example.org' }, { ports: {} }, { role: 'king' }])
    await assert.rejects(
      client.begin({ ...good, node: { ...good.node, ...node } } as typeof good),
      refusedWith('usage', /not valid/),
    )
  cluster.nodes.set('node-g', 'ready')
  await assert.rejects(client.begin(good), refusedWith('refused', /it is Ready/))
  cluster.nodes.delete('node-g')
  await client.abort((await client.begin({ ...good, timeMs: Date.now() + 5 * 60_000 })).attempt)
})

test('a worker gets certificates for its own name only, once its token is consumed', async () => {
  const made = await cluster.addNode({ worker: true })
  const client = cluster.client({ fingerprint: made.fingerprint })
  const request = cluster.request(made.token, { name: 'node-w', role: 'worker', address: '127.0.0.9' })
  const { attempt, keys } = await client.begin(request)
  assert.equal(keys, null)
  await assert.rejects(client.commit(attempt, { publicKeys: null }), refusedWith('usage', /public keys/))
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  const publicKeys = { kubelet: pem, 'kubelet-client': pem, 'proxy-client': pem }
  const { certificates } = await client.commit(attempt, { publicKeys })
  const identity = new X509Certificate(certificates?.['kubelet-client'] ?? '')
  assert.equal(identity.subject, 'O=system:nodes\nCN=system:node:node-w')
  assert.equal(cluster.members().length, 2)
  await client.confirm(attempt)
})

test('a token that is good for several joins is refused on a command line, and good for just as many', async () => {
  const made = await cluster.addNode({ uses: 2, worker: true })
  const client = cluster.client({ fingerprint: made.fingerprint })
  const ask = (name: string, tokenWasShown = false) =>
    client.begin({ ...cluster.request(made.token, { name, role: 'worker' }), tokenWasShown })
  await assert.rejects(ask('node-h', true), refusedWith('refused', /command line/))
  const outcomes = await Promise.allSettled(
    ['node-h', 'node-i', 'node-j', 'node-k', 'node-l'].map(n => ask(n)),
  )
  const begun = outcomes.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
  assert.equal(begun.length, 2)
  for (const { attempt } of begun) await client.abort(attempt)
})

test('an expired token says so', async () => {
  const made = await cluster.addNode({ ttlSeconds: 1 })
  const client = cluster.client({ fingerprint: made.fingerprint })
  await until('it has expired', () => Date.now() > Date.parse(made.expiresAt))
  await assert.rejects(client.begin(cluster.request(made.token)), refusedWith('refused', /time.*is over/))
})

test('bodies are bounded, and what is no JSON is refused', async () => {
  const post = (body: string) => raw('/v1/join', { method: 'POST', body }).catch(() => ({ status: 413 }))
  assert.equal((await post(JSON.stringify({ token: 'x'.repeat(100_000) }))).status, 413)
  assert.equal((await post('{')).status, 400)
})

test('nothing secret is logged', async () => {
  const made = await cluster.addNode()
  const client = cluster.client({ fingerprint: made.fingerprint })
  const { attempt } = await client.begin(cluster.request(made.token, { name: 'node-m' }))
  await client.abort(attempt)
  const log = cluster.logged.join('\n')
  assert.match(log, /node-m/)
  assert.ok(!log.includes(made.token) && !log.includes(attempt.secret))
})

test('wrong tokens are counted, and nobody tries many', async () => {
  const other = await startJoinCluster()
  try {
    const { fingerprint, token } = await other.addNode()
    const client = other.client({ fingerprint })
    const wrong = other.request('a2b3c4d5e6f7g8h9a2b3c4d5e6f7g8h9')
    for (let tries = 0; tries < 10; tries++)
      await assert.rejects(client.begin(wrong), refusedWith('refused', /not known/))
    await assert.rejects(client.begin(other.request(token)), refusedWith('refused', /too many wrong/))
    assert.equal(other.store.range({ start: TOKENS_PREFIX, end: TOKENS_RANGE.end }).entries.length, 1)
  } finally {
    await other.close()
  }
})
