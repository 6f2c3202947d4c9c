/** Plugins that have logins for registries: who is asked, how long an answer holds, and what is no answer. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { createLog } from '../../../../src/base/log.ts'
import { CredentialProviders, parseProviders } from '../../../../src/runtime/kubelet/credential-providers.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-plugins-'))
after(() => rmSync(directory, { recursive: true, force: true }))
const skip = process.platform === 'win32'
const API = 'credentialprovider.kubelet.k8s.io/v1'

function plugin(name: string, answer: string): void {
  const path = join(directory, name)
  writeFileSync(path, `#!/bin/sh\ncat >>${path}.asked; echo "$WORD" >>${path}.asked; echo '${answer}'\n`)
  chmodSync(path, 0o755)
}

const provider = (name: string, matchImages: readonly string[], over: object = {}) => ({
  ...{
    name,
    matchImages,
    defaultCacheDuration: '1m',
    apiVersion: API,
    env: [{ name: 'WORD', value: 'said' }],
  },
  ...over,
})
const configOf = (...providers: object[]) =>
  JSON.stringify({ kind: 'CredentialProviderConfig', apiVersion: 'kubelet.config.k8s.io/v1', providers })
const answerOf = (cacheKeyType: string, cacheDuration: string | undefined, username: string) =>
  JSON.stringify({
    ...{ kind: 'CredentialProviderResponse', apiVersion: API, cacheKeyType, cacheDuration },
    auth: { '*.example.com': { username, password: 'hush' } },
  })

function open(config: string, lines: string[] = []) {
  let now = 0
  const clock = { ...systemClock, monotonic: () => now }
  const log = createLog({ level: 'warn', now: Date.now, write: line => void lines.push(line) })
  const plugins = new CredentialProviders({ providers: parseProviders(config), directory, clock, log })
  return { plugins, pass: (ms: number) => (now += ms) }
}
const timesAsked = (name: string) => {
  const path = join(directory, `${name}.asked`)
  return existsSync(path) ? readFileSync(path, 'utf8').split('said').length - 1 : 0
}

test('the plugins of an image’s registry are asked, and their answers hold for as long as they say', {
  skip,
}, async () => {
  plugin('one', answerOf('Registry', '10s', 'ann'))
  plugin('two', answerOf('Image', undefined, 'bob'))
  const { plugins, pass } = open(
    configOf(provider('one', ['*.example.com']), provider('two', ['a.example.com/team'])),
  )
  const users = async (image: string) => (await plugins.loginsFor(image)).map(({ username }) => username)
  assert.deepEqual(await users('busybox'), [])
  const both = await Promise.all([users('a.example.com/team/web:1'), users('a.example.com/team/web:2')])
  assert.deepEqual(both, [
    ['ann', 'bob'],
    ['ann', 'bob'],
  ])
  assert.match(
    readFileSync(join(directory, 'one.asked'), 'utf8'),
    /"image":"a\.example\.com\/team\/web"}said/,
  )
  assert.deepEqual(await users('a.example.com/other'), ['ann'])
  assert.deepEqual([timesAsked('one'), timesAsked('two')], [1, 1])
  pass(10_001)
  assert.deepEqual(await users('a.example.com/team/web'), ['ann', 'bob'])
  assert.deepEqual([timesAsked('one'), timesAsked('two')], [2, 1])
})

test('a plugin that fails has no logins, and nothing of what it says is logged', { skip }, async () => {
  plugin('torn', answerOf('Image', '1m', 'ann').slice(0, -5))
  plugin('older', answerOf('Image', '1m', 'ann').replace('io/v1', 'io/v1alpha1'))
  const lines: string[] = []
  const { plugins } = open(
    configOf(...['torn', 'older', 'none'].map(name => provider(name, ['r.example.com']))),
    lines,
  )
  assert.deepEqual(await plugins.loginsFor('r.example.com/x'), [])
  assert.equal(lines.length, 3)
  assert.ok(!lines.join().includes('hush'))
})

test('a configuration that cannot be followed is refused in words', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['', /it is none/],
    [configOf(), /at least 1 item in plugins/],
    [configOf(provider('../sh', ['x'])), /cannot be a provider's name/],
    [configOf(provider('a', [])), /at least 1 item in matchImages/],
    [configOf(provider('a', ['x'], { apiVersion: 'v1' })), /apiVersion has to be/],
    [configOf(provider('a', ['x'], { defaultCacheDuration: 'long' })), /defaultCacheDuration/],
    [configOf(provider('a', ['x']), provider('a', ['y'])), /"a" is there twice/],
    [configOf(provider('a', ['x'], { tokenAttributes: {} })), /tokenAttributes/],
  ]
  for (const [text, why] of wrong) {
    assert.throws(
      () => parseProviders(text),
      (error: { why?: string }) => why.test(error.why ?? ''),
      text,
    )
  }
})
