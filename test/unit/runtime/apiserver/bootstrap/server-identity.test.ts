/** Each API server has its Lease, renews it, and takes away those of servers that are no more. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { silentLog } from '../../../../../src/base/log.ts'
import { seededRandom } from '../../../../../src/base/random.ts'
import { formatMicroTime } from '../../../../../src/kube/time.ts'
import type { Lease } from '../../../../../src/kube/types.ts'
import {
  createServerIdentity,
  identityOf,
} from '../../../../../src/runtime/apiserver/bootstrap/server-identity.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'
import { until } from '../../../../support/until.ts'
import { makeServer } from '../harness.ts'

const PATH = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases'

test('the Lease of a server is there, stays fresh, and those that have ended go', async t => {
  assert.equal(identityOf('n1'), 'apiserver-m5vyxocm44th3vja33feqeoi6e')
  const { api, call } = makeServer()
  const clock = new ManualClock()
  await call('POST', '/api/v1/namespaces', { kind: 'Namespace', metadata: { name: 'kube-system' } })
  const other = (name: string, identity: string, ageMs: number) =>
    call('POST', PATH, {
      ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' },
      metadata: { name, labels: { 'apiserver.kubernetes.io/identity': identity } },
      spec: { leaseDurationSeconds: 3600, renewTime: formatMicroTime(clock.now() - ageMs) },
    })
  await other('ended', 'kube-apiserver', 3_601_000)
  await other('alive', 'kube-apiserver', 3_000_000)
  await other('somebody', 'else', 9_999_000)
  const identity = createServerIdentity({
    ...{ hostname: 'n1', objects: api.objects, clock, random: seededRandom(1), log: silentLog },
    transport: api.transportFor({ username: 'system:apiserver', groups: ['system:masters'] }),
  })
  await identity.start(new AbortController().signal)
  t.after(() => identity.stop())
  const names = () =>
    api.objects.list('coordination.k8s.io', 'leases', 'kube-system').map(({ metadata }) => metadata.name)
  const own = identityOf('n1')
  await until('the Lease, and nothing that has ended', () => {
    const all = names()
    return all.includes(own) && !all.includes('ended')
  })
  assert.deepEqual([...names()].sort(), ['alive', own, 'somebody'].sort())
  const read = () => api.objects.get('coordination.k8s.io', 'leases', 'kube-system', own) as unknown as Lease
  const { metadata, spec } = read()
  assert.deepEqual(metadata.labels, {
    'apiserver.kubernetes.io/identity': 'kube-apiserver',
    'kubernetes.io/hostname': 'n1',
  })
  assert.equal(spec?.leaseDurationSeconds, 3600)
  assert.match(spec?.holderIdentity ?? '', new RegExp(`^${own}_[0-9a-f-]{36}$`))
  await until('that it is renewed', async () => {
    await clock.advance(60_000)
    return read().spec?.renewTime !== spec?.renewTime
  })
  await call('DELETE', `${PATH}/${own}`)
  await until('that it is made anew', async () => {
    await clock.advance(60_000)
    return names().includes(own)
  })
})
