/** A node's range of pod addresses is kept, and addresses come out of it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { PodRange } from '../../../../src/runtime/kubelet/pod-range.ts'
import { AddressPool } from '../../../../src/runtime/kubelet/runtime/address-pool.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-range-'))
after(() => rmSync(directory, { recursive: true, force: true }))

test('the range is told once, survives a restart, and a damaged file is as good as none', () => {
  const path = join(directory, 'pod-range')
  const range = new PodRange(path)
  const told: string[] = []
  range.onChange(cidrs => told.push(cidrs.join()))
  assert.equal(range.cidr, null)
  for (const cidr of ['10.1.3.0/24', '10.1.3.0/24', 'nonsense']) range.set([cidr])
  assert.deepEqual(told, ['10.1.3.0/24'])
  assert.equal(new PodRange(path).cidr, '10.1.3.0/24')
  range.set(['10.1.3.0/24', 'fd00:1::/64'])
  assert.deepEqual(new PodRange(path).cidrs, ['10.1.3.0/24', 'fd00:1::/64'])
  writeFileSync(path, '10.1.')
  assert.equal(new PodRange(path).cidr, null)
})

test('what pods may send at once is kept beside the range, and tells those who write it down', () => {
  const path = join(directory, 'with-mtu')
  const range = new PodRange(path)
  const told: (number | null)[] = []
  range.onChange(() => told.push(range.mtu))
  range.setMtu(1_450)
  assert.deepEqual(told, [])
  range.set(['10.1.3.0/24'])
  range.setMtu(1_500)
  range.setMtu(1_500)
  assert.deepEqual(told, [1_450, 1_500])
  assert.deepEqual([new PodRange(path).cidr, new PodRange(path).mtu], ['10.1.3.0/24', 1_500])
})

test('without a range there are no addresses, and a new range holds for new pods', () => {
  const range = new PodRange(join(directory, 'other'))
  const pool = new AddressPool(() => range.cidr)
  assert.throws(() => pool.allocate(), /no range of pod addresses yet/)
  range.set(['10.1.1.0/24'])
  assert.equal(pool.allocate(), '10.1.1.2')
  range.set(['10.1.2.0/24'])
  assert.match(pool.allocate(), /^10\.1\.2\./)
})
