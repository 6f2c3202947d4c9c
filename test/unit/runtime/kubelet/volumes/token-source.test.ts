import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KubeClient } from '../../../../../src/client/kube-client.ts'
import type { KubeRequest, Transport } from '../../../../../src/client/transport.ts'
import type { Pod } from '../../../../../src/kube/types.ts'
import { tokenKey } from '../../../../../src/runtime/kubelet/volumes/render-volume.ts'
import { TokenSource } from '../../../../../src/runtime/kubelet/volumes/token-source.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'

const LIFE_S = 600

/** A server that hands out numbered tokens. */
class Issuer implements Transport {
  issued = 0

  async request({ path, body }: KubeRequest) {
    assert.equal(path, '/api/v1/namespaces/default/serviceaccounts/default/token')
    const wanted = JSON.parse(Buffer.from(body ?? []).toString('utf8'))
    assert.equal(wanted.spec.expirationSeconds, LIFE_S)
    const token = `token-${++this.issued}`
    return { status: 201, headers: {}, body: Buffer.from(JSON.stringify({ ...wanted, status: { token } })) }
  }
}

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default', uid: 'u' },
  spec: {
    containers: [{ name: 'c', image: 'i' }],
    volumes: [
      {
        name: 't',
        projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: LIFE_S } }] },
      },
    ],
  },
}

test('a token is kept for most of its life and renewed before it ends', async () => {
  const clock = new ManualClock()
  const issuer = new Issuer()
  const source = new TokenSource({ client: new KubeClient(issuer), clock })
  const tokenNow = async () =>
    (await source.tokensOf(pod)).tokens.get(tokenKey({ expirationSeconds: LIFE_S }))
  const begun = clock.now()
  const { renewAtMs } = await source.tokensOf(pod)
  assert.ok(renewAtMs > begun && renewAtMs < begun + LIFE_S * 1_000)
  clock.advance(renewAtMs - begun - 1)
  assert.equal(await tokenNow(), 'token-1')
  clock.advance(1)
  assert.equal(await tokenNow(), 'token-2')
  assert.equal(issuer.issued, 2)
  source.forget('u')
  assert.equal(await tokenNow(), 'token-3')
})
