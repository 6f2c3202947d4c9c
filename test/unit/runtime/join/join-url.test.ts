/** The address to join, and where the token comes from. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { renderAddNode } from '../../../../src/cli/add-node-view.ts'
import { findJoinToken } from '../../../../src/cli/join-token.ts'
import { parseJoinUrl, renderJoinUrl } from '../../../../src/runtime/join/join-url.ts'

const TOKEN = 'dua2hi7psuw8st3rreju3dxmmad55gr7'
const FINGERPRINT = '9c023d8e3c9a3c20eda9725f48b7fcb16463c0f0214cf2976ec5a4c70bd1c143'

test('addresses of both kinds and names are read, with and without a port', () => {
  const cases = [
    ['10.0.0.1:25000', '10.0.0.1', 25_000],
    ['[fd00::1]:25001', 'fd00::1', 25_001],
    ['n1.example.org', 'n1.example.org', 25_000],
    ['https://10.0.0.1:25000', '10.0.0.1', 25_000],
  ] as const
  for (const [place, host, port] of cases) {
    const url = parseJoinUrl(`${place}/${TOKEN}/${FINGERPRINT.toUpperCase()}`)
    assert.deepEqual(url, { server: { host, port }, token: TOKEN, fingerprint: FINGERPRINT })
  }
  const server = { host: 'fd00::1', port: 25_000 }
  const rendered = renderJoinUrl(server, { token: TOKEN, fingerprint: FINGERPRINT })
  assert.deepEqual(parseJoinUrl(rendered).server, server)
})

test('what is no address to join is refused, and its secret is not repeated', () => {
  const wrong = [
    '',
    `10.0.0.1:0/${TOKEN}/${FINGERPRINT}`,
    `fd00::1:25000/${TOKEN}/${FINGERPRINT}`,
    `10.0.0.1:25000/${TOKEN}/abcdef`,
    `10.0.0.1:25000/${TOKEN}/${FINGERPRINT}/x`,
    `10.0.0.1:25000/${TOKEN.slice(4)}/${FINGERPRINT}`,
    `-v:25000/${TOKEN}/${FINGERPRINT}`,
  ]
  for (const text of wrong)
    assert.throws(
      () => parseJoinUrl(text),
      (error: unknown) => {
        assert.ok(error instanceof Mk8sError)
        assert.equal(error.code, 'usage')
        assert.ok(!`${error.message}${error.why}${error.hint}`.includes(TOKEN.slice(4)))
        return true
      },
      text,
    )
})

test('a token comes from the URL, else from a file, the environment, or standard input', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-token-'))
  const file = join(directory, 'token')
  writeFileSync(file, `${TOKEN}\n`)
  const readStandardInput = async () => ` ${TOKEN}3\n`
  const none = { shown: null, file: undefined, env: undefined, readStandardInput }
  try {
    assert.deepEqual(await findJoinToken({ ...none, shown: TOKEN }), { text: TOKEN, wasShown: true })
    assert.deepEqual(await findJoinToken({ ...none, file, env: 'x' }), { text: TOKEN, wasShown: false })
    assert.deepEqual(await findJoinToken({ ...none, env: TOKEN }), { text: TOKEN, wasShown: false })
    assert.equal((await findJoinToken(none)).text, `${TOKEN}3`)
    assert.equal((await findJoinToken({ ...none, file: '-', env: 'x' })).text, `${TOKEN}3`)
    await assert.rejects(findJoinToken({ ...none, shown: TOKEN, file }), /names another/)
    await assert.rejects(findJoinToken({ ...none, file: `${file}x` }), /cannot be read/)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('what add-node shows can be pasted, and a reusable token stands on no command line', () => {
  const once = {
    token: TOKEN,
    fingerprint: FINGERPRINT,
    addresses: ['10.0.0.1', 'fd00::1', 'n1'],
    port: 25_000,
    worker: false,
    uses: 1,
    expiresAt: '2026-03-01T00:00:00.000Z',
  }
  const lines = renderAddNode(once, 'short').split('\n')
  assert.deepEqual(lines, [
    `mk8s join 10.0.0.1:25000/${TOKEN}/${FINGERPRINT}`,
    `mk8s join [fd00::1]:25000/${TOKEN}/${FINGERPRINT}`,
    `mk8s join n1:25000/${TOKEN}/${FINGERPRINT}`,
  ])
  const pretty = renderAddNode(once, 'pretty')
  assert.match(pretty, /^From the node you wish to join to this cluster, run the following:\nmk8s join 10/)
  assert.match(pretty, / --worker$/m)
  const parsed = JSON.parse(renderAddNode(once, 'json')) as { token: string; urls: string[] }
  assert.equal(parsed.token, `${TOKEN}/${FINGERPRINT}`)
  assert.equal(parsed.urls[1], `[fd00::1]:25000/${TOKEN}/${FINGERPRINT}`)
  const many = renderAddNode({ ...once, uses: 5, worker: true }, 'short')
  assert.equal(many.split('\n')[0], `mk8s join 10.0.0.1:25000/-/${FINGERPRINT} --worker --token-file FILE`)
  assert.ok(!many.includes(TOKEN))
})
