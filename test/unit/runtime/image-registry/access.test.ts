/** Who may pull and push: by where a request comes from, by name and password, by tokens of the cluster. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemRandom } from '../../../../src/base/random.ts'
import { Access, type AccessRules, type Asked } from '../../../../src/runtime/image-registry/access.ts'
import { shaCryptMatches } from '../../../../src/runtime/image-registry/sha-crypt.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

// Of `openssl passwd -6 -salt saltstring` and `-5`, for the password `secret`.
const SHA512 =
  '$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.'
const SHA256 = '$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.'

test('passwords are checked as crypt(3) hashes them', () => {
  for (const hash of [SHA512, SHA256]) {
    assert.ok(shaCryptMatches('secret', hash))
    assert.ok(!shaCryptMatches('Secret', hash))
    assert.ok(!shaCryptMatches('', hash))
  }
  assert.ok(!shaCryptMatches('secret', 'secret'))
  assert.ok(!shaCryptMatches('secret', SHA512.replace('saltstring', 'rounds=999999999$saltstring')))
})

interface Tried {
  readonly from?: string
  readonly authorization?: string
  readonly asked: Asked | 'base'
}

const pull: Asked = { verb: 'pull', repository: 'app' }
const push: Asked = { verb: 'push', repository: 'app' }
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

function doorOf(rules: Partial<AccessRules>) {
  const asked: string[] = []
  const access = new Access({
    rules: { anonymousPull: 'cluster', anonymousPush: 'cluster', users: {}, ...rules },
    review: async (token, { verb }) => {
      asked.push(token)
      return verb === 'pull'
    },
    ...{ clock: new ManualClock(), random: systemRandom },
  })
  access.trust(['10.1.0.0/16', '192.0.2.7'])
  const verdict = ({ from = '203.0.113.1', authorization, asked: what }: Tried) =>
    access.expect({ remoteAddress: from, authorization }, what).then(
      () => 'yes',
      error => String(error.code),
    )
  return { verdict, asked }
}

test('without credentials only the cluster itself gets in, unless it is said otherwise', async () => {
  const { verdict } = doorOf({})
  for (const from of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.1.2.3', '192.0.2.7', '::ffff:10.1.2.3']) {
    assert.equal(await verdict({ from, asked: push }), 'yes', from)
  }
  for (const from of ['192.0.2.8', '10.2.0.1', '2001:db8::1', '']) {
    assert.equal(await verdict({ from, asked: pull }), 'UNAUTHORIZED', from)
  }
  const open = doorOf({ anonymousPull: 'everyone', anonymousPush: 'none' })
  assert.equal(await open.verdict({ asked: pull }), 'yes')
  assert.equal(await open.verdict({ from: '127.0.0.1', asked: push }), 'UNAUTHORIZED')
  // Clients ask this first, and show credentials only when it is refused.
  assert.equal(await open.verdict({ asked: 'base' }), 'UNAUTHORIZED')
  assert.equal(await open.verdict({ asked: pull, authorization: basic(':') }), 'yes')
})

test('a user with the right password may do everything, from anywhere', async () => {
  const { verdict } = doorOf({ users: { ann: SHA512 } })
  for (const asked of [pull, push, 'base'] as const) {
    assert.equal(await verdict({ authorization: basic('ann:secret'), asked }), 'yes')
    assert.equal(await verdict({ authorization: basic('ann:wrong'), asked }), 'UNAUTHORIZED')
    assert.equal(await verdict({ authorization: basic('bob:secret'), asked }), 'UNAUTHORIZED')
  }
  // Wrong credentials are not none.
  assert.equal(
    await verdict({ from: '127.0.0.1', authorization: basic('ann:wrong'), asked: pull }),
    'UNAUTHORIZED',
  )
})

test('a token may what the cluster says of its owner, who is asked for once in a while', async () => {
  const { verdict, asked } = doorOf({})
  const token = 'aaa.bbb.ccc'
  for (const authorization of [`Bearer ${token}`, basic(`sa:${token}`)]) {
    assert.equal(await verdict({ authorization, asked: pull }), 'yes')
    assert.equal(await verdict({ authorization, asked: push }), 'DENIED')
  }
  assert.deepEqual(asked, [token, token])
})
