/** What Kubernetes' conformance asks of chunked lists, of tables, and of watches. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import {
  at,
  itemsOf,
  type Namespace,
  named,
  nameOf,
  type Suite,
  startSuite,
  versionOf,
} from '../support/conformance.ts'
import { GrpcClient } from '../support/grpc-client.ts'
import { until } from '../support/until.ts'
import type { WatchEvent, WatchStream } from '../support/watch-stream.ts'

const TEMPLATES = 400
const LABEL = 'watch-this-configmap'

const template = (index: number) =>
  named('v1', 'PodTemplate', `template-${String(index).padStart(4, '0')}`, {
    template: { spec: { containers: [{ name: 'test', image: 'test2' }] } },
  })

const map = (name: string, label: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels: { [LABEL]: label } },
})

const mutation = (event: WatchEvent | null) => `${event?.type} ${at(event?.object, 'data.mutation') ?? '-'}`

describe('lists and watches', () => {
  let suite: Suite
  let home: Namespace
  before(async () => {
    suite = await startSuite({ args: ['--etcd-listen', 'unix'] })
    home = await suite.namespace('lists')
  })
  after(() => suite?.cluster.remove())

  describe('Servers with support for API chunking', () => {
    const page = (query: string) => suite.ok('GET', `${home.core('podtemplates')}?${query}`)
    before(async () => {
      const left = Array.from({ length: TEMPLATES }, (_, index) => index)
      const worker = async () => {
        for (let index = left.shift(); index !== undefined; index = left.shift()) {
          await suite.ok('POST', home.core('podtemplates'), template(index))
        }
      }
      await Promise.all(Array.from({ length: 20 }, worker))
    })

    test('should return chunks of results for list calls', async () => {
      const limit = 37
      let found = 0
      let version = ''
      let token = ''
      do {
        const list = await page(`limit=${limit}&continue=${encodeURIComponent(token)}`)
        const items = itemsOf(list)
        assert.ok(items.length <= limit)
        if (version === '') version = versionOf(list)
        assert.equal(versionOf(list), version)
        for (const item of items) assert.equal(nameOf(item), nameOf(template(found++)))
        token = String(at(list, 'metadata.continue') ?? '')
        const remaining = at(list, 'metadata.remainingItemCount')
        if (token === '') assert.equal(remaining, undefined)
        else assert.equal(Number(remaining) + found, TEMPLATES)
      } while (token !== '')
      assert.equal(found, TEMPLATES)
      for (const query of [`limit=${TEMPLATES + 1}`, '']) {
        const full = await page(query)
        assert.equal(itemsOf(full).length, TEMPLATES)
        assert.equal(at(full, 'metadata.continue'), undefined)
      }
    })

    test('should support continue listing from the last key if the original version has been compacted away, though the list is inconsistent', async () => {
      const limit = TEMPLATES / 10
      const first = await page(`limit=${limit}`)
      const token = String(at(first, 'metadata.continue'))
      const compacted = versionOf(await suite.ok('POST', home.core('configmaps'), map('later', 'none')))
      await compact(suite.cluster.dataDir, Number(compacted))
      const expired = await until('the token has expired', async () => {
        const answer = await suite.api(
          `${home.core('podtemplates')}?limit=${limit}&continue=${encodeURIComponent(token)}`,
        )
        return answer.status === 200 ? false : answer
      })
      assert.deepEqual([expired.status, expired.body.reason], [410, 'Expired'])
      const inconsistent = String(at(expired.body, 'metadata.continue') ?? '')
      assert.notEqual(inconsistent, '')

      const second = await page(`limit=${limit}&continue=${encodeURIComponent(inconsistent)}`)
      const version = versionOf(second)
      assert.notEqual(version, versionOf(first))
      assert.equal(itemsOf(second).length, limit)
      let found = limit
      for (const item of itemsOf(second)) assert.equal(nameOf(item), nameOf(template(found++)))
      assert.equal(at(second, 'metadata.remainingItemCount'), TEMPLATES - found)

      let next = String(at(second, 'metadata.continue') ?? '')
      while (next !== '') {
        const list = await page(`limit=${limit}&continue=${encodeURIComponent(next)}`)
        assert.equal(versionOf(list), version)
        for (const item of itemsOf(list)) assert.equal(nameOf(item), nameOf(template(found++)))
        next = String(at(list, 'metadata.continue') ?? '')
      }
      assert.equal(found, TEMPLATES)
    })
  })

  test('Servers with support for Table transformation should return a 406 for a backend which does not implement metadata', async () => {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { namespace: 'default', verb: 'get', resource: 'pods' } },
    }
    const answer = await suite.api('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
      body: review,
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
    assert.equal(answer.status, 406)
    assert.equal(answer.body.reason, 'NotAcceptable')
  })

  describe('Watchers', () => {
    const maps = () => home.core('configmaps')
    const watching = (label: string, version = '') => {
      const selector = encodeURIComponent(`${LABEL} in (${label})`)
      return suite.watch(`${maps()}?watch=1&labelSelector=${selector}&resourceVersion=${version}`)
    }
    const now = async () => versionOf(await suite.ok('GET', `${maps()}?limit=1`))
    const mutate = (name: string, count: number) =>
      suite.ok('PATCH', `${maps()}/${name}`, { data: { mutation: String(count) } }, 'merge')
    const remove = (name: string) => suite.ok('DELETE', `${maps()}/${name}`)
    const label = (name: string, value: string) =>
      suite.ok('PATCH', `${maps()}/${name}`, { metadata: { labels: { [LABEL]: value } } }, 'merge')
    const both = async (streams: readonly WatchStream[], expected: string) => {
      for (const stream of streams) assert.equal(mutation(await stream.next()), expected)
    }

    test('should observe add, update, and delete watch notifications on configmaps', async () => {
      const start = await now()
      const [a, b, ab] = await Promise.all([
        watching('multiple-A', start),
        watching('multiple-B', start),
        watching('multiple-A,multiple-B', start),
      ])
      await suite.ok('POST', maps(), map('watched-a', 'multiple-A'))
      await both([a, ab], 'ADDED -')
      await mutate('watched-a', 1)
      await both([a, ab], 'MODIFIED 1')
      await mutate('watched-a', 2)
      await both([a, ab], 'MODIFIED 2')
      await remove('watched-a')
      await both([a, ab], 'DELETED 2')
      assert.equal(b.pending(), 0)
      await suite.ok('POST', maps(), map('watched-b', 'multiple-B'))
      await both([b, ab], 'ADDED -')
      await remove('watched-b')
      await both([b, ab], 'DELETED -')
      assert.equal(a.pending(), 0)
      for (const stream of [a, b, ab]) stream.close()
    })

    test('should be able to start watching from a specific resource version', async () => {
      await suite.ok('POST', maps(), map('from-version', 'from-version'))
      const first = await mutate('from-version', 1)
      await mutate('from-version', 2)
      await remove('from-version')
      const stream = await watching('from-version', versionOf(first))
      assert.equal(mutation(await stream.next()), 'MODIFIED 2')
      assert.equal(mutation(await stream.next()), 'DELETED 2')
      stream.close()
    })

    test('should be able to restart watching from the last resource version observed by the previous watch', async () => {
      const broken = await watching('restarted', await now())
      await suite.ok('POST', maps(), map('restarted', 'restarted'))
      await mutate('restarted', 1)
      assert.equal(mutation(await broken.next()), 'ADDED -')
      const last = await broken.next()
      assert.equal(mutation(last), 'MODIFIED 1')
      broken.close()
      await mutate('restarted', 2)
      const restarted = await watching('restarted', versionOf(last?.object))
      await remove('restarted')
      assert.equal(mutation(await restarted.next()), 'MODIFIED 2')
      assert.equal(mutation(await restarted.next()), 'DELETED 2')
      restarted.close()
    })

    test('should observe an object deletion if it stops meeting the requirements of the selector', async () => {
      const stream = await watching('changed', await now())
      await suite.ok('POST', maps(), map('changed', 'changed'))
      await mutate('changed', 1)
      await label('changed', 'elsewhere')
      assert.equal(mutation(await stream.next()), 'ADDED -')
      assert.equal(mutation(await stream.next()), 'MODIFIED 1')
      assert.equal(mutation(await stream.next()), 'DELETED 1')
      await mutate('changed', 2)
      assert.equal(stream.pending(), 0)
      await label('changed', 'changed')
      await mutate('changed', 3)
      await remove('changed')
      assert.equal(mutation(await stream.next()), 'ADDED 2')
      assert.equal(mutation(await stream.next()), 'MODIFIED 3')
      assert.equal(mutation(await stream.next()), 'DELETED 3')
      stream.close()
    })

    test('should receive events on concurrent watches in same order', async () => {
      const count = 100
      const start = await now()
      const first = await watching('ordered', start)
      const versions = [start]
      const writing = produce(count)
      const streams = [first]
      for (let index = 0; index < count; index++) {
        const event = await first.next()
        versions.push(versionOf(event?.object))
        streams.push(await watching('ordered', versions.at(-1)))
      }
      await writing
      await suite.ok('POST', maps(), map('ordered-end', 'ordered'))
      for (const [index, stream] of streams.entries()) {
        const from = index === 0 ? count + 1 : index + 1
        for (const version of versions.slice(from)) {
          assert.equal(versionOf((await stream.next())?.object), version)
        }
        assert.equal(nameOf((await stream.next())?.object), 'ordered-end')
        stream.close()
      }
    })

    /** So many changes: objects come, change and go, at random. */
    async function produce(count: number): Promise<void> {
      const there: string[] = []
      for (let index = 0; index < count; index++) {
        const some = there[Math.floor(Math.random() * there.length)]
        const choice = Math.floor(Math.random() * 3)
        if (some === undefined || choice === 0) {
          await suite.ok('POST', maps(), map(`ordered-${index}`, 'ordered'))
          there.push(`ordered-${index}`)
        } else if (choice === 1) {
          await mutate(some, index)
        } else {
          await remove(some)
          there.splice(there.indexOf(some), 1)
        }
      }
    }
  })
})

/** Drops the history before a revision, as etcd's clients may. */
async function compact(dataDir: string, revision: number): Promise<void> {
  const client = new GrpcClient({ path: join(dataDir, 'run/etcd.sock') })
  try {
    const answer = await client.call('/etcdserverpb.KV/Compact', writer => writer.int64(1, revision))
    assert.equal(answer.status, 0, answer.message)
  } finally {
    client.close()
  }
}
