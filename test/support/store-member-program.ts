/**
 * One member of the datastore in a process of its own: `openRaftStore` as the daemon uses it, told over IPC what to
 * do (store-member-protocol.ts). Ends when its parent does.
 */

import { must } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import { Mk8sError, messageOf } from '../../src/base/errors.ts'
import { createLog, type Log } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createEtcdEndpoint } from '../../src/runtime/etcd/etcd.ts'
import { peerIdentity } from '../../src/runtime/pki/authorities.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'
import type { RaftStore } from '../../src/runtime/store/raft-store.ts'
import type { Watch, WatchRequest } from '../../src/runtime/store/store.ts'
import type {
  FromMember,
  LoadOutcome,
  LoadRequest,
  OpenOptions,
  SaidError,
  StoreMethod,
  ToMember,
} from './store-member-protocol.ts'

const EXIT_FATAL = 7
/** Nobody wakes who waits for it. */
const NOBODY = new Int32Array(new SharedArrayBuffer(4))

let store: RaftStore | null = null
const watches = new Map<number, Watch>()

function say(message: FromMember): void {
  if (process.connected) process.send?.(message)
}

function said(error: unknown): SaidError {
  const known = error instanceof Mk8sError
  return {
    code: known ? error.code : '',
    message: messageOf(error),
    why: known ? (error.why ?? '') : error instanceof Error ? (error.stack ?? '') : '',
    hint: known ? (error.hint ?? '') : '',
  }
}

async function open(options: OpenOptions): Promise<void> {
  const { directory, clusterId, memberId, joins, peers } = options
  const write = (line: string) => void process.stderr.write(line)
  const log = createLog({ level: options.logLevel, write, now: Date.now })
  const opened = await openRaftStore({
    directory,
    clock: systemClock,
    random: systemRandom,
    log,
    clusterId,
    memberId,
    joins,
    ...(peers !== null && {
      peers: { ...peers, identityOf: member => peerIdentity(clusterId, member.toString(16)) },
    }),
    onFatal: error => {
      process.send?.({ type: 'fatal', error: said(error) } satisfies FromMember, () => {
        process.exit(EXIT_FATAL)
      })
    },
  })
  store = opened
  const tell = () => say({ type: 'status', status: opened.status() })
  opened.onMembership(tell)
  opened.onLeadership(tell)
  if (options.etcdSocket !== null) await serveEtcd(opened, options.etcdSocket, log)
  say({ type: 'opened', status: opened.status() })
}

async function serveEtcd(opened: RaftStore, path: string, log: Log): Promise<void> {
  const endpoint = createEtcdEndpoint({
    listen: { type: 'unix', path },
    store: opened,
    status: () => ({ ...opened.status(), databaseBytes: 0 }),
    members: () => [],
    metrics: () => '',
    clock: systemClock,
    log,
  })
  const { signal } = new AbortController()
  await endpoint.prepare(signal)
  await endpoint.start(signal)
}

async function call(method: StoreMethod, args: readonly unknown[]): Promise<unknown> {
  const opened = must(store, 'an open store')
  const perform = opened[method] as (...args: unknown[]) => unknown
  return await perform.apply(opened, [...args])
}

function startWatch(id: number, request: WatchRequest): void {
  const watch = must(store, 'an open store').watch(request, {
    onEvents: (events, revision) => say({ type: 'events', id, events, revision }),
    onClosed: error => say({ type: 'watch-closed', id, error: said(error) }),
  })
  watches.set(id, watch)
}

/** Writers in this process, as the API server would be one; a write that fails is counted and another one begun. */
async function load({ writers, milliseconds, valueBytes }: LoadRequest): Promise<LoadOutcome> {
  const opened = must(store, 'an open store')
  const took: number[] = []
  const start = performance.now()
  const end = start + milliseconds
  let [failed, last, longestGapMs] = [0, start, 0]
  const write = async (writer: number) => {
    for (let count = 0; performance.now() < end; count++) {
      const before = performance.now()
      const key = `/load/${String(writer).padStart(4, '0')}/${count % 1000}`
      const value = Buffer.alloc(valueBytes, count & 0xff)
      try {
        await opened.transact({ compares: [], operations: [{ type: 'put', key, value }] })
      } catch (error) {
        if (!(error instanceof Mk8sError)) throw error
        failed++
        await new Promise(resolve => setImmediate(resolve))
        continue
      }
      const now = performance.now()
      took.push(now - before)
      longestGapMs = Math.max(longestGapMs, now - last)
      last = now
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  took.sort((a, b) => a - b)
  const at = (share: number) => took[Math.floor(took.length * share)] ?? 0
  const putsPerSecond = took.length / ((performance.now() - start) / 1000)
  return { puts: took.length, failed, putsPerSecond, p50Ms: at(0.5), p99Ms: at(0.99), longestGapMs }
}

function answer(id: number, work: Promise<unknown>): void {
  work.then(
    result => say({ type: 'answer', id, result }),
    (error: unknown) => say({ type: 'error', id, error: said(error) }),
  )
}

function take(message: ToMember): void {
  switch (message.type) {
    case 'open':
      open(message.options).catch((error: unknown) => say({ type: 'open-failed', error: said(error) }))
      return
    case 'call':
      answer(message.id, call(message.method, message.args))
      return
    case 'spin':
      for (const end = performance.now() + message.milliseconds; performance.now() < end; )
        Atomics.wait(NOBODY, 0, 0, 10)
      return
    case 'load':
      answer(message.id, load(message.load))
      return
    case 'watch':
      try {
        startWatch(message.id, message.request)
      } catch (error) {
        say({ type: 'watch-closed', id: message.id, error: said(error) })
      }
      return
    case 'unwatch':
      watches.get(message.id)?.close()
      watches.delete(message.id)
  }
}

process.on('message', take)
process.on('disconnect', () => process.exit(0))
