/** Which containers get processors of their own, which ones, and who has to make room. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../../../../src/base/log.ts'
import type { Pod } from '../../../../../src/kube/types.ts'
import { CpuManager, type CpuManagerParts } from '../../../../../src/runtime/kubelet/cpus/cpu-manager.ts'
import { formatCpus, parseCpus } from '../../../../../src/runtime/kubelet/cpus/cpu-set.ts'
import { reservedByCpus, staticPool } from '../../../../../src/runtime/kubelet/cpus/create-cpus.ts'
import { exclusiveCount } from '../../../../../src/runtime/kubelet/cpus/plan-cpus.ts'
import { takeCpus } from '../../../../../src/runtime/kubelet/cpus/take-cpus.ts'
import { until } from '../../../../support/until.ts'

/** Two sockets of two cores of two threads: 0 and 4 are one core. */
const ALL = Array.from({ length: 8 }, (_, id) => {
  const socket = String(Math.floor((id % 4) / 2))
  return { id, socket, core: `${socket}/${id % 2}` }
})
const container = (name: string, cpu: string, more: object = {}) => {
  const amounts = { cpu, memory: '64Mi' }
  return { name, resources: { requests: amounts, limits: amounts }, ...more }
}
const podOf = (uid: string, containers: object[], initContainers: object[] = [], spec: object = {}): Pod =>
  ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: uid, namespace: 'd', uid } },
    spec: { containers, initContainers, ...spec },
  }) as unknown as Pod

test('sets are read and written as the kernel does', () => {
  assert.deepEqual([...(parseCpus('0-2,5\n') ?? [])], [0, 1, 2, 5])
  assert.equal(formatCpus([5, 1, 0, 2, 7, 8]), '0-2,5,7-8')
  assert.equal(formatCpus([]), '')
  assert.equal(parseCpus('')?.size, 0)
  for (const text of ['a', '3-1', '1,,2', '-1']) assert.equal(parseCpus(text), null)
})

test('whole sockets and cores are taken before parts of them', () => {
  const take = (count: number, free = ALL.map(({ id }) => id)) => {
    const taken = takeCpus(ALL, new Set(free), count)
    return taken === null ? null : formatCpus(taken)
  }
  assert.equal(take(4), '0-1,4-5', 'a socket')
  assert.equal(take(2), '0,4', 'a core')
  assert.equal(take(6), '0-2,4-6')
  assert.equal(take(1, [0, 1, 4]), '1', 'of a core that others have begun')
  assert.equal(take(4, [0, 1, 2, 3, 6, 7]), '2-3,6-7', 'the socket that is whole')
  assert.equal(take(2, [0]), null)
})

test('whole processors of Guaranteed pods are their own, and no others', () => {
  const count = (cpu: string, over: object = {}) =>
    exclusiveCount(podOf('p', [container('c', cpu, over)]), {
      ...container('c', cpu, over),
    })
  assert.equal(count('2'), 2)
  assert.equal(count('2000m'), 2)
  assert.equal(count('1500m'), 0)
  const burst = { name: 'c', resources: { requests: { cpu: '2' } } }
  assert.equal(exclusiveCount(podOf('p', [burst]), burst), 0)
})

test('reserved processors come by name or by number, and without any there is no static policy', () => {
  assert.deepEqual([...staticPool(ALL, { policy: 'static', reservedSystemCpus: '0,4' }).reserved], [0, 4])
  const byNumber = staticPool(ALL, { policy: 'static' }, { systemReserved: { cpu: '1500m' } })
  assert.deepEqual([...byNumber.reserved], [0, 4])
  assert.equal(byNumber.problem, undefined)
  assert.match(staticPool(ALL, { policy: 'static' }).problem ?? '', /needs cpu in systemReserved/)
  const missing = staticPool(ALL, { policy: 'static', reservedSystemCpus: '9' })
  assert.match(missing.problem ?? '', /not there: 9/)
  const reserved = { kubeReserved: { cpu: '3', memory: '1Gi' }, systemReserved: { cpu: '1' } }
  assert.deepEqual(reservedByCpus(reserved, '0-1'), {
    ...{ kubeReserved: { memory: '1Gi' }, systemReserved: { cpu: '2' } },
  })
})

function manager(over: Partial<CpuManagerParts> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-cpus-'))
  const live: Pod[] = []
  const running = new Map<string, string>([['shared', '']])
  const runtime = {
    listContainers: async () =>
      [...running.keys()].map(id => ({ id, name: 'c', podUid: id, state: 'running' }) as never),
    setCpus: async (id: string, cpus: string) => void running.set(id, cpus),
  }
  const pool = staticPool(ALL, { policy: 'static', reservedSystemCpus: '0,4' })
  const parts = {
    pool,
    path: join(directory, 'state'),
    livePods: () => live,
    runtime,
    log: silentLog,
    ...over,
  }
  const remove = () => rmSync(directory, { recursive: true, force: true })
  return { parts, live, running, cpus: new CpuManager(parts), remove }
}

test('a pod gets its processors, others leave them, and get them back after its end', async t => {
  const { parts, live, running, cpus, remove } = manager()
  t.after(remove)
  const pod = podOf('a', [container('c', '2')])
  assert.equal(cpus.admit(pod), null)
  live.push(pod)
  assert.equal(cpus.cpusOf('a', 'c'), '1,5')
  assert.equal(cpus.cpusOf('shared', 'c'), '0,2-4,6-7')
  await until('the others are moved', () => running.get('shared') === '0,2-4,6-7')
  assert.equal(new CpuManager(parts).cpusOf('a', 'c'), '1,5', 'the next daemon knows')
  const why = 'requested=5, available=4, which is unexpected'
  const refused = cpus.admit(podOf('b', [container('c', '5')]))
  assert.equal(refused?.reason, 'UnexpectedAdmissionError')
  assert.ok(refused?.message.endsWith(`not enough cpus available to satisfy request: ${why}`))
  live.pop()
  cpus.release()
  await until('the others are moved back', () => running.get('shared') === '0-7')
})

test('what init containers had goes to those after them; sidecars keep theirs', t => {
  const { cpus, remove } = manager()
  t.after(remove)
  const inits = [container('first', '2'), container('side', '2', { restartPolicy: 'Always' })]
  assert.equal(cpus.admit(podOf('a', [container('c', '2')], inits)), null)
  const [first, side, main] = ['first', 'side', 'c'].map(name => cpus.cpusOf('a', name))
  assert.equal(first, side, 'the sidecar starts after the first one is done')
  assert.notEqual(main, side)
})

test('nobody is told where to run without the policy', t => {
  const { cpus, remove } = manager({ pool: null })
  t.after(remove)
  assert.equal(cpus.admit(podOf('a', [container('c', '2')])), null)
  assert.equal(cpus.cpusOf('a', 'c'), undefined)
})
