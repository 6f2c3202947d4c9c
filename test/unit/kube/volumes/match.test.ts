import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PersistentVolume, PersistentVolumeClaim } from '../../../../src/kube/types.ts'
import { findVolume, mismatchOf } from '../../../../src/kube/volumes/match.ts'

type ClaimSpec = NonNullable<PersistentVolumeClaim['spec']>
type VolumeSpec = NonNullable<PersistentVolume['spec']>

const claim = (spec: ClaimSpec = {}): PersistentVolumeClaim => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'c', namespace: 'n', uid: 'c-uid' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '5Gi' } }, ...spec },
})

const volume = (name: string, spec: VolumeSpec = {}, metadata: object = {}): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name, ...metadata },
  spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '10Gi' }, ...spec },
  status: { phase: 'Available' },
})

const sized = (name: string, storage: string, spec: VolumeSpec = {}) =>
  volume(name, { capacity: { storage }, ...spec })
const reserved = (name: string, uid?: string) =>
  volume(name, { claimRef: { namespace: 'n', name: 'c', ...(uid === undefined ? {} : { uid }) } })

const CASES: readonly [string, PersistentVolumeClaim, readonly PersistentVolume[], string | null][] = [
  [
    'the smallest that is large enough',
    claim(),
    [sized('a', '8Gi'), sized('b', '6Gi'), sized('d', '4Gi')],
    'b',
  ],
  ['an exact fit', claim(), [sized('a', '5368709120')], 'a'],
  ['none that is too small', claim(), [sized('a', '5Gi'), sized('b', '1Gi')].slice(1), null],
  [
    'only of its class',
    claim({ storageClassName: 'x' }),
    [volume('a'), volume('b', { storageClassName: 'x' })],
    'b',
  ],
  [
    'none of a class when it has none',
    claim({ storageClassName: '' }),
    [volume('a', { storageClassName: 'x' })],
    null,
  ],
  [
    'one that offers all modes',
    claim({ accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] }),
    [volume('a')],
    null,
  ],
  [
    'one of its volume mode',
    claim({ volumeMode: 'Block' }),
    [volume('a'), volume('b', { volumeMode: 'Block' })],
    'b',
  ],
  [
    'one with the labels that it asks for',
    claim({ selector: { matchLabels: { disk: 'fast' } } }),
    [volume('a'), volume('b', {}, { labels: { disk: 'fast' } })],
    'b',
  ],
  ['one that was set aside for it, even if larger', claim(), [sized('a', '5Gi'), reserved('b')], 'b'],
  ['none that was set aside for its predecessor', claim(), [reserved('a', 'other-uid')], null],
  [
    'none that is on its way out',
    claim(),
    [volume('a', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' })],
    null,
  ],
  ['none that is released', claim(), [{ ...volume('a'), status: { phase: 'Released' } }], null],
]

for (const [what, wanted, volumes, expected] of CASES) {
  test(`a claim gets ${what}`, () => {
    assert.equal(findVolume(wanted, volumes)?.metadata.name ?? null, expected)
  })
}

test('until a pod has a node, only volumes that were set aside by name count', () => {
  assert.equal(findVolume(claim(), [volume('a')], { onlyReserved: true }), null)
  assert.equal(findVolume(claim(), [volume('a'), reserved('b')], { onlyReserved: true })?.metadata.name, 'b')
})

test('a volume that was set aside and cannot be reached is not replaced by another one', () => {
  const isReachable = ({ metadata }: PersistentVolume) => metadata.name !== 'b'
  assert.equal(findVolume(claim(), [volume('a'), reserved('b')], { isReachable }), null)
  assert.equal(findVolume(claim(), [volume('a'), volume('b')], { isReachable })?.metadata.name, 'a')
})

test('why a volume that the claim names does not suit it is said in upstream’s words', () => {
  const why = (spec: VolumeSpec) => mismatchOf(volume('a', spec), claim())
  assert.equal(why({}), null)
  assert.equal(why({ capacity: { storage: '1Gi' } }), 'requested PV is too small')
  assert.equal(why({ storageClassName: 'x' }), 'storageClassName does not match')
  assert.equal(why({ volumeMode: 'Block' }), 'incompatible volumeMode')
  assert.equal(why({ accessModes: ['ReadOnlyMany'] }), 'incompatible accessMode')
})
