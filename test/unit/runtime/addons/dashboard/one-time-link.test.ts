/** What is kept of a link that signs in once. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemRandom } from '../../../../../src/base/random.ts'
import { KubeClient } from '../../../../../src/client/kube-client.ts'
import type { KubeRequest, KubeResponse, Transport } from '../../../../../src/client/transport.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { formatTime } from '../../../../../src/kube/time.ts'
import {
  keepLink,
  LINK_MS_MAX,
  openToken,
  sealToken,
  takeLink,
} from '../../../../../src/runtime/addons/dashboard/one-time-link.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'

/** Keeps Secrets, and stamps them with the time of its clock. */
class SecretServer implements Transport {
  readonly secrets = new Map<string, KubeObject>()
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  async request({ method, path, body }: KubeRequest): Promise<KubeResponse> {
    const answer = (status: number, object: object) => ({
      status,
      headers: {},
      body: Buffer.from(JSON.stringify(object)),
    })
    const name = path.split('/').at(-1) ?? ''
    if (method === 'POST') {
      const made = JSON.parse(Buffer.from(body as Uint8Array).toString()) as KubeObject
      const creationTimestamp = formatTime(this.#clock.now())
      const secret = { ...made, metadata: { ...made.metadata, uid: 'one', creationTimestamp } }
      this.secrets.set(made.metadata.name ?? '', secret)
      return answer(201, secret)
    }
    if (name === 'secrets') {
      return answer(200, { kind: 'SecretList', metadata: {}, items: [...this.secrets.values()] })
    }
    const found = this.secrets.get(name)
    if (found === undefined) return answer(404, { kind: 'Status', code: 404, reason: 'NotFound' })
    if (method === 'DELETE') this.secrets.delete(name)
    return answer(200, found)
  }
}

test('a token is opened by the code that it was sealed with, and by nothing else', () => {
  const code = 'a'.repeat(43)
  const sealed = sealToken(code, 'the token', systemRandom)
  assert.equal(openToken(code, sealed), 'the token')
  assert.equal(openToken('b'.repeat(43), sealed), null)
  assert.equal(openToken(code, sealed.slice(0, 20)), null)
  const changed = Buffer.from(sealed, 'base64')
  changed[30] = (changed[30] ?? 0) ^ 1
  assert.equal(openToken(code, changed.toString('base64')), null)
  assert.notEqual(sealToken(code, 'the token', systemRandom), sealed)
})

test('a link is good once, for ten minutes of the cluster’s own clock, and goes when nobody uses it', async () => {
  const clock = new ManualClock()
  const server = new SecretServer(clock)
  const client = new KubeClient(server)
  const keep = () => keepLink({ client, random: systemRandom }, 'the token')
  const take = (code: string) => takeLink({ client, clock }, code)
  const first = await keep()
  assert.equal(await take(first), 'the token')
  assert.equal(await take(first), null)
  const second = await keep()
  clock.advance(LINK_MS_MAX + 1_000)
  assert.equal(await take(second), null)
  await keep()
  clock.advance(LINK_MS_MAX + 1_000)
  const last = await keep()
  assert.equal(server.secrets.size, 1)
  assert.equal(await take(last), 'the token')
})
