/** Secrets with credentials of targets, and what each kind of target asks of them. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import type { Mk8sError } from '../../../../../src/base/errors.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import { parseCredentials, readCredentials } from '../../../../../src/runtime/backup/targets/credentials.ts'
import { openTarget } from '../../../../../src/runtime/backup/targets/open-target.ts'

const PARTS = { clock: systemClock, random: systemRandom }
const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI+/='
const type = 'mk8s.io/backup-target'
const base64 = (text: string) => Buffer.from(text).toString('base64')
const secretOf = (data: Record<string, string>) => ({
  type,
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
})
const open = (to: string, data: Record<string, string>) =>
  openTarget(to, readCredentials('s3', secretOf(data)), PARTS)

const privateKey = (passphrase?: string): string => {
  const { privateKey: made } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const locked = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  return made.export({ type: 'pkcs8', format: 'pem', ...locked }).toString()
}

/** The beginning of a key as ssh-keygen writes it. */
const opensshKey = (cipher: string): string => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(cipher.length)
  const body = Buffer.concat([Buffer.from('openssh-key-v1\0'), length, Buffer.from(cipher)])
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`
}

describe('the Secret of a backup target', () => {
  it('is decoded', () => {
    const credentials = readCredentials('s3', secretOf({ 'access-key-id': 'id\n', 'ca.crt': 'PEM' }))
    assert.equal(credentials.get('access-key-id')?.toString(), 'id\n')
    assert.deepEqual([...credentials.keys()], ['access-key-id', 'ca.crt'])
  })

  it('is refused with the reason and the command that makes a right one', () => {
    const invalid = { code: 'config/invalid' }
    assert.throws(() => readCredentials('s3', null), {
      ...invalid,
      message: /kube-system\/s3 does not exist/,
    })
    assert.throws(() => readCredentials('s3', { type: 'Opaque' }), {
      ...invalid,
      why: /type is Opaque and has to be mk8s\.io\/backup-target/,
      hint: /--type=mk8s\.io\/backup-target/,
    })
    assert.throws(() => readCredentials('s3', secretOf({ 'acces-key-id': 'x' })), {
      ...invalid,
      hint: 'access-key-id may be meant',
    })
    assert.throws(() => readCredentials('s3', secretOf({ constructor: 'x' })), invalid)
    assert.throws(() => readCredentials('s3', secretOf({ 'access-key-id': '\n' })), {
      ...invalid,
      why: 'it is empty',
    })
  })
})

describe('credentials of an S3 target', () => {
  const url = 's3://backups?region=eu-central-1'

  it('are an id and a secret of one line each', () => {
    open(url, { 'access-key-id': 'id\n', 'secret-access-key': 'secret' })
    assert.throws(() => open(url, { 'access-key-id': 'id' }), { why: /no secret-access-key/ })
    assert.throws(() => open(url, { 'access-key-id': 'a\r\nb', 'secret-access-key': 's' }), {
      message: /access-key-id/,
      why: /more than one line/,
    })
  })
})

describe('credentials of a target behind SSH', () => {
  const url = 'ssh://backup@nas.example.com:2222/srv/backups'

  it('are a key without a passphrase, and keys of the host', () => {
    const plain = privateKey()
    const known = { 'known-hosts': `[nas.example.com]:2222 ${HOST_KEY}` }
    open(url, { ...known, 'ssh-private-key': opensshKey('none') })
    open(url, { ...known, 'ssh-private-key': plain })
    const named = open(`${url}?host-key=${HOST_KEY}`, { 'ssh-private-key': `${plain.trim()}\r\n` })
    assert.equal(named.url, url)
    assert.throws(() => open(url, { 'ssh-private-key': plain }), {
      hint: /ssh-keyscan -p 2222 nas\.example\.com/,
    })
    assert.throws(() => open(url, { 'known-hosts': 'x' }), { why: /no ssh-private-key/ })
    const data = { 'known-hosts': 'x', 'ssh-private-key': 'ssh-ed25519 AAAA me@here' }
    assert.throws(() => open(url, data), { hint: /the file without \.pub/ })
    for (const locked of [privateKey('passphrase'), opensshKey('aes256-ctr')]) {
      assert.throws(() => open(url, { ...data, 'ssh-private-key': locked }), { why: /has a passphrase/ })
    }
  })

  it('go with a URL that names user, host and a directory', () => {
    const data = { 'ssh-private-key': privateKey(), 'known-hosts': 'x' }
    const refused = [
      ['ssh://nas/srv', /name the user/],
      ['ssh://-oProxyCommand=x@nas/srv', /name the user/],
      ['ssh://me@-oProxyCommand=x/srv', /names no host/],
      ['ssh://me@nas', /root directory/],
      ['ssh://me@nas/a%0Ab', /characters that no directory has/],
      ['ssh://me@nas/srv?hostkey=x', /hostkey is none of its parameters/],
      ['ssh://me@nas/srv?host-key=x', /not of the form/],
    ] as const
    for (const [to, why] of refused) assert.throws(() => open(to, data), { code: 'config/invalid', why })
    open('ssh://me@[fd00::1]/~/backups', data)
    assert.throws(() => open('rsync://me@nas/with%20space', data), { hint: /ssh:\/\// })
  })
})

describe('credentials in a file', () => {
  const read = (content: unknown) =>
    [...parseCredentials('/x.yaml', content)].map(([key, value]) => `${key}=${value}`)

  it('are lines, or the Secret as kubectl shows it', () => {
    assert.deepEqual(read({ 'access-key-id': 'a', 'secret-access-key': 'b' }), [
      'access-key-id=a',
      'secret-access-key=b',
    ])
    const data = { 'access-key-id': Buffer.from('a').toString('base64') }
    const secret = { kind: 'Secret', type: 'anything', data, stringData: { 'session-token': 'c' } }
    assert.deepEqual(read(secret), ['access-key-id=a', 'session-token=c'])
  })

  it('are refused without a value in the message', () => {
    const cases = [
      ['text', /not a map/],
      [{}, /no keys/],
      [{ kind: 'Secret' }, /no keys/],
      [{ 'access-key-id': '' }, /it is empty/],
      [{ 'access-key-id': 17 }, /it is empty/],
      [{ 'acces-key-id': 'very secret' }, /the keys are access-key-id/],
    ] as const
    for (const [content, why] of cases) {
      assert.throws(
        () => read(content),
        (error: Mk8sError) => {
          assert.match(error.why ?? '', why)
          return !`${error.message}${error.why}${error.hint}`.includes('very secret')
        },
      )
    }
  })
})
