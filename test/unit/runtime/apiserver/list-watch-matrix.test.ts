/** Every combination of what a list or a watch may say about versions, and what Kubernetes' documentation says of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../../../src/base/clock.ts'
import { configMap, makeServer, type Reply, type Server, watchReader } from './harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'

/** Time that passes as soon as somebody waits for it; long waits, such as the end of a watch, stay away. */
function impatientClock(): Clock {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    after(delayMs, callback) {
      if (delayMs > 1_000) return { cancel: () => {} }
      const timer = setImmediate(() => {
        nowMs += delayMs
        callback()
      })
      return { cancel: () => clearImmediate(timer) }
    },
  }
}

interface Prepared {
  readonly server: Server
  /** a and b were there; it is compacted. */
  readonly old: string
  /** a, b and c were there, and still can be read. */
  readonly exact: string
  /** a, b, c and d. */
  readonly latest: string
  readonly future: string
}

async function prepare(): Promise<Prepared> {
  const server = makeServer({ clock: impatientClock() })
  const make = async (name: string) => {
    assert.equal((await server.call('POST', maps, configMap(name))).status, 201)
    return String(server.store.revision)
  }
  await make('a')
  const old = await make('b')
  const exact = await make('c')
  const latest = await make('d')
  await server.store.compact(Number(exact))
  return { server, old, exact, latest, future: String(Number(latest) + 1_000) }
}

type Version = '' | '0' | 'old' | 'exact' | 'future'
const VERSIONS: readonly Version[] = ['', '0', 'old', 'exact', 'future']
const MATCHES = ['', 'NotOlderThan', 'Exact', 'other'] as const

const versionOf = (prepared: Prepared, version: Version) =>
  version === '' || version === '0' ? version : prepared[version]

function queryOf(parts: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parts))
    if (value !== undefined && value !== '') query.set(name, value)
  return query.toString()
}

const EXPIRED = 'The resourceVersion for the provided list is too old.'
const tooLarge = ({ future, latest }: Prepared) =>
  `Timeout: Too large resource version: ${future}, current: ${latest}`
const about = 'ListOptions.meta.k8s.io "" is invalid: '
const UNSUPPORTED = 'Unsupported value: "other": supported values: '

/** The names, comma-separated, or the code and the message of the refusal. */
function expectedList(prepared: Prepared, version: Version, match: string, limit: number): string {
  const problems: string[] = []
  if (match !== '' && version === '') {
    problems.push('Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided')
  }
  if (match === 'other') problems.push(`${UNSUPPORTED}"Exact", "NotOlderThan", ""`)
  if (match === 'Exact' && version === '0') {
    problems.push('Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
  }
  if (problems.length > 0)
    return `422 ${about}${inBrackets(problems.map(one => `resourceVersionMatch: ${one}`))}`
  const isExact = match === 'Exact' || (match === '' && limit > 0 && version !== '' && version !== '0')
  if (version === 'future') return `504 ${tooLarge(prepared)}`
  if (isExact && version === 'old') return `410 ${EXPIRED}`
  const all = isExact ? ['a', 'b', 'c'] : ['a', 'b', 'c', 'd']
  const isPage = limit > 0 && version !== '0'
  return `${(isPage ? all.slice(0, limit) : all).join()}${isPage ? ' …' : ''}`
}

const inBrackets = (problems: readonly string[]) =>
  problems.length === 1 ? problems[0] : `[${problems.join(', ')}]`

function shownList({ status, body }: Reply): string {
  if (status !== 200) return `${status} ${body.message}`
  const names = body.items.map((item: { metadata: { name: string } }) => item.metadata.name)
  return `${names.join()}${body.metadata.continue === undefined ? '' : ' …'}`
}

test('a list answers each combination of version, match and limit as documented', async () => {
  const prepared = await prepare()
  for (const version of VERSIONS) {
    for (const resourceVersionMatch of MATCHES) {
      for (const limit of [0, 2]) {
        const resourceVersion = versionOf(prepared, version)
        const query = queryOf({
          resourceVersion,
          resourceVersionMatch,
          limit: limit === 0 ? '' : String(limit),
        })
        const reply = await prepared.server.call('GET', `${maps}?${query}`)
        const expected = expectedList(prepared, version, resourceVersionMatch, limit)
        assert.equal(shownList(reply), expected, `version ${version}, ${query}`)
        if (reply.status !== 200) continue
        const { exact, latest } = prepared
        const isExact =
          version === 'exact' &&
          (resourceVersionMatch === 'Exact' || (resourceVersionMatch === '' && limit > 0))
        assert.equal(reply.body.metadata.resourceVersion, isExact ? exact : latest, query)
      }
    }
  }
})

test('a version from the future tells when to come back, for a list and for an object', async () => {
  const prepared = await prepare()
  for (const path of [maps, `${maps}/a`]) {
    const { status, body } = await prepared.server.call('GET', `${path}?resourceVersion=${prepared.future}`)
    assert.equal(status, 504)
    assert.equal(body.reason, 'Timeout')
    assert.equal(body.message, tooLarge(prepared))
    assert.equal(body.details.retryAfterSeconds, 1)
    const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }]
    assert.deepEqual(body.details.causes, causes)
  }
  for (const version of ['', '0', prepared.old, prepared.exact]) {
    const { status } = await prepared.server.call('GET', `${maps}/d?resourceVersion=${version}`)
    assert.equal(status, 200)
  }
})

test('a list goes on after each token, and takes neither a version nor a match with it', async () => {
  const prepared = await prepare()
  const { server, exact } = prepared
  const first = await server.call('GET', `${maps}?${queryOf({ resourceVersion: exact, limit: '2' })}`)
  const token = first.body.metadata.continue
  const next = (more: Readonly<Record<string, string>>) =>
    server.call('GET', `${maps}?${queryOf({ continue: token, ...more })}`)
  for (const resourceVersion of ['', '0']) {
    const reply = await next({ resourceVersion })
    assert.equal(shownList(reply), 'c')
    assert.equal(reply.body.metadata.resourceVersion, exact)
  }
  const withVersion = await next({ resourceVersion: exact })
  assert.equal(shownList(withVersion), '400 specifying resource version is not allowed when using continue')
  const problem =
    'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided'
  const withMatch = await next({ resourceVersion: '0', resourceVersionMatch: 'NotOlderThan' })
  assert.equal(shownList(withMatch), `422 ${about}${problem}`)
  const initial = await server.call('GET', `${maps}?sendInitialEvents=true`)
  assert.equal(
    shownList(initial),
    `422 ${about}sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list`,
  )

  await server.store.compact(server.store.revision)
  const expired = await next({ limit: '1' })
  assert.deepEqual([expired.status, expired.body.reason], [410, 'Expired'])
  assert.match(
    expired.body.message,
    /^The provided continue parameter is too old to display a consistent list/,
  )
  const again = { continue: expired.body.metadata.continue, limit: '1' }
  const inconsistent = await server.call('GET', `${maps}?${queryOf(again)}`)
  assert.equal(shownList(inconsistent), 'c …')
  assert.equal(inconsistent.body.metadata.resourceVersion, prepared.latest)
})

interface WatchCase {
  readonly version: Version
  readonly resourceVersionMatch: string
  /** undefined: not said. */
  readonly sendInitialEvents: string | undefined
  readonly allowWatchBookmarks: string
}

/** What comes before the first change, or the code and the message of the refusal. */
function expectedWatch(prepared: Prepared, one: WatchCase): string {
  const { version, resourceVersionMatch: match, sendInitialEvents: initial } = one
  const problems: string[] = []
  if (initial !== undefined && match !== 'NotOlderThan') {
    problems.push('Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  }
  if (initial === undefined && match !== '') {
    problems.push(
      'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    )
  }
  if (match !== '' && match !== 'NotOlderThan') {
    problems.push(`${UNSUPPORTED.replace('other', match)}"NotOlderThan"`)
  }
  if (problems.length > 0)
    return `422 ${about}${inBrackets(problems.map(each => `resourceVersionMatch: ${each}`))}`
  const bookmark = one.allowWatchBookmarks === 'true' ? ',BOOKMARK' : ''
  if (initial === 'true' && version === 'future') return `ERROR 504 ${tooLarge(prepared)}`
  if (initial === 'true') return `a,b,c,d${bookmark}`
  if (version === 'old') return `ERROR 410 too old resource version: ${prepared.old} (${prepared.exact})`
  if (version === 'exact') return 'd'
  if (version === 'future') return 'nothing'
  return initial === 'false' ? '' : 'a,b,c,d'
}

/** Reads until the change that is made after the watch has begun. */
async function shownWatch(server: Server, query: string): Promise<string> {
  const reply = await server.raw('GET', `${maps}?${query}`)
  if (reply.status !== 200) return `${reply.status}`
  const reader = watchReader(reply)
  const seen: string[] = []
  await server.call('POST', maps, configMap('last'))
  for (let event = await reader.next(); event !== null; event = await reader.next()) {
    if (event.type === 'ERROR') {
      assert.equal(await reader.next(), null, 'an error ends the watch')
      return `ERROR ${event.object.code} ${event.object.message}`
    }
    if (event.object.metadata.name === 'last') break
    seen.push(event.type === 'BOOKMARK' ? 'BOOKMARK' : event.object.metadata.name)
  }
  await reader.close()
  return seen.join()
}

test('a watch answers each combination of version, match, initial events and bookmarks as documented', async () => {
  for (const version of VERSIONS) {
    for (const resourceVersionMatch of ['', 'NotOlderThan', 'Exact']) {
      for (const sendInitialEvents of [undefined, 'true', 'false']) {
        for (const allowWatchBookmarks of ['', 'true']) {
          await checkWatch({ version, resourceVersionMatch, sendInitialEvents, allowWatchBookmarks })
        }
      }
    }
  }
})

async function checkWatch(one: WatchCase): Promise<void> {
  const prepared = await prepare()
  const { server } = prepared
  const { version, ...rest } = one
  const query = queryOf({ watch: 'true', resourceVersion: versionOf(prepared, version), ...rest })
  const expected = expectedWatch(prepared, one)
  if (expected.startsWith('422')) {
    const { status, body } = await server.call('GET', `${maps}?${query}`)
    assert.equal(`${status} ${body.message}`, expected, query)
    return
  }
  if (expected === 'nothing') {
    // It is open, and waits for a revision that is still to come.
    const reply = await server.raw('GET', `${maps}?${query}`)
    assert.equal(reply.status, 200)
    await watchReader(reply).close()
    return
  }
  assert.equal(await shownWatch(server, query), expected, `version ${version}, ${query}`)
}
