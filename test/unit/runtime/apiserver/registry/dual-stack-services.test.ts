/** Families and addresses of services in a cluster that has both. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import type { ServiceSpec } from '../../../../../src/kube/types.ts'
import { services } from '../../../../../src/runtime/apiserver/registry/core/services.ts'
import { object, poolWithout, read, specOf, testContext } from './support.ts'

const context = {
  ...testContext(),
  settings: { ...testContext().settings, ipv6: { serviceCidr: 'fd00:2::/112', podCidr: 'fd00:1::/48' } },
}
const PORTS = [{ port: 80, protocol: 'TCP', targetPort: 80 }]

/** As a request goes: prepared, judged, then given its addresses. */
function finish(made: KubeObject, previous: KubeObject | null, taken: readonly string[] = []) {
  const problems = read([
    ...(services.validate?.(made, context.settings) ?? []),
    ...(previous === null ? [] : (services.validateUpdate?.(made, previous) ?? [])),
  ])
  const claimed = services.claim?.(made, previous, poolWithout(...taken), context)
  const claims = (claimed?.claims ?? []).map(({ value }) => value)
  return {
    made,
    spec: specOf(made) as ServiceSpec,
    problems: [...problems, ...read(claimed?.errors)],
    claims,
  }
}

function create(spec: object, taken: readonly string[] = []) {
  const made = object('Service', { spec: { selector: { app: 'web' }, ports: PORTS, ...spec } })
  services.applyDefaults?.(made)
  services.prepareForCreate?.(made, context)
  return finish(made, null, taken)
}

function update(previous: KubeObject, spec: object) {
  const next = structuredClone(previous)
  Object.assign(specOf(next), spec)
  services.applyDefaults?.(next)
  services.prepareForUpdate?.(next, previous, context)
  return finish(next, previous)
}

const families = (given: object) => {
  const { spec, problems } = create(given)
  assert.deepEqual(problems, [])
  return [spec.ipFamilyPolicy, ...(spec.ipFamilies ?? []), ...(spec.clusterIPs ?? []).map(kindOf)].join(' ')
}
const kindOf = (address: string) => (address.includes(':') ? '6' : address.includes('.') ? '4' : address)

test('families follow the policy, what was asked for, and addresses', () => {
  const cases: readonly [object, string][] = [
    [{}, 'SingleStack IPv4 4'],
    [{ ipFamilies: ['IPv6'] }, 'SingleStack IPv6 6'],
    [{ clusterIP: 'fd00:2::9' }, 'SingleStack IPv6 6'],
    [{ ipFamilyPolicy: 'PreferDualStack' }, 'PreferDualStack IPv4 IPv6 4 6'],
    [{ ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] }, 'RequireDualStack IPv6 IPv4 6 4'],
    [
      { ipFamilyPolicy: 'PreferDualStack', clusterIPs: ['fd00:2::9'], clusterIP: 'fd00:2::9' },
      'PreferDualStack IPv6 IPv4 6 4',
    ],
    [{ ipFamilyPolicy: 'PreferDualStack', clusterIP: 'None' }, 'PreferDualStack IPv4 IPv6 None'],
    [{ clusterIP: 'None', selector: {} }, 'RequireDualStack IPv4 IPv6 None'],
  ]
  for (const [given, wanted] of cases) assert.equal(families(given), wanted)
})

test('two families need a policy, and each address its network and its family', () => {
  const both = { ipFamilies: ['IPv4', 'IPv6'] }
  assert.match(create(both).problems.join(), /must be RequireDualStack or PreferDualStack when multiple/)
  const outside = create({ clusterIP: 'fd00:3::9' }).problems.join()
  assert.match(outside, /failed to allocate IP fd00:3::9: .* The range of valid IPs is fd00:2::\/112/)
  const wrong = create({ clusterIP: '10.152.183.9', ipFamilies: ['IPv6'] }).problems.join()
  assert.match(wrong, /expected an IPv6 value as indicated by `ipFamilies\[0\]`/)
  const taken = create({ clusterIP: 'fd00:2:0::9' }, ['fd00:2::9']).problems.join()
  assert.match(taken, /provided IP is already allocated/)
})

test('a second family comes and goes with the policy, and the first one stays', () => {
  const { made: single, spec: one } = create({})
  const { made: both, spec: two, problems, claims } = update(single, { ipFamilyPolicy: 'RequireDualStack' })
  assert.deepEqual(problems, [])
  assert.deepEqual([two.clusterIPs?.[0], claims.length, two.ipFamilies?.length], [one.clusterIP, 2, 2])
  const back = update(both, { ipFamilyPolicy: 'SingleStack' })
  assert.deepEqual([back.problems, back.spec.clusterIPs], [[], [one.clusterIP]])
  assert.deepEqual(back.claims, [one.clusterIP])
  const swapped = update(both, { ipFamilies: ['IPv6', 'IPv4'] }).problems.join()
  assert.match(swapped, /spec.ipFamilies\[0\]: Invalid value: .*may not change once set/)
})
