/** Quantities and networks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../src/base/assert.ts'
import * as cidr from '../../../src/kube/cidr.ts'
import * as quantity from '../../../src/kube/quantity.ts'

test('quantities take their canonical form', () => {
  const cases: Record<string, string> = {
    '0': '0',
    '0Gi': '0',
    '1000m': '1',
    '0.5': '500m',
    '1500': '1500',
    '1000': '1k',
    '1.5G': '1500M',
    '1.5Gi': '1536Mi',
    '1024Mi': '1Gi',
    '100Ki': '100Ki',
    '0.5Ki': '512',
    '1e3': '1e3',
    '1E3': '1E3',
    '15e2': '1500',
    '12e6': '12e6',
    '1E': '1E',
    '-2.5': '-2500m',
    '.5': '500m',
    '+5': '+5',
    '1.500': '1.500',
    '1.1Gi': '1181116006400m',
    '10E': '10E',
    '0.0000000001': '1n',
    '100Ei': '9223372036854775807',
    '5.': '5.',
  }
  for (const [text, canonical] of Object.entries(cases)) {
    assert.equal(quantity.canonicalQuantity(text), canonical, text)
    assert.equal(quantity.canonicalQuantity(canonical), canonical, canonical)
  }
})

test('what is no quantity is refused', () => {
  for (const text of ['', 'abc', '1 Gi', '1KiB', '--1', '.', '1e', '0x10', 'Gi', '1.2.3', '1ee3']) {
    assert.throws(() => quantity.parseQuantity(text), quantity.QuantityError, text)
  }
})

test('quantities add and compare exactly whatever their suffixes', () => {
  const parse = quantity.parseQuantity
  const sum = quantity.addQuantities(parse('100m'), parse('1'))
  assert.equal(quantity.formatQuantity(sum), '1100m')
  assert.ok(quantity.compareQuantities(parse('1Gi'), parse('1G')) > 0)
  assert.equal(quantity.compareQuantities(parse('1024Ki'), parse('1Mi')), 0)
  assert.equal(quantity.milliValue(parse('1.0001')), 1001)
  assert.equal(quantity.integerValue(parse('128Mi')), 134217728)
})

test('addresses print canonically and nonsense is null', () => {
  const cases: Record<string, string | null> = {
    '10.0.0.1': '10.0.0.1',
    '010.0.0.1': null,
    '1.2.3': null,
    '2001:DB8:0:0:0:0:0:1': '2001:db8::1',
    '::': '::',
    '1:0:0:2:0:0:0:3': '1:0:0:2::3',
    '::ffff:1.2.3.4': '1.2.3.4',
    '1::2::3': null,
    'fe80::1%eth0': null,
  }
  for (const [text, expected] of Object.entries(cases))
    assert.equal(cidr.canonicalAddress(text), expected, text)
})

test('a network counts, contains and divides', () => {
  const network = must(cidr.parseCidr('10.152.183.5/24'), 'a network')
  assert.equal(cidr.formatCidr(network), '10.152.183.0/24')
  assert.equal(cidr.cidrAddress(network, 10), '10.152.183.10')
  assert.equal(cidr.cidrAddress(network, 256), null)
  assert.equal(cidr.cidrIndexOf(network, '10.152.183.7'), 7n)
  assert.equal(cidr.cidrIndexOf(network, '10.152.184.7'), null)
  const pods = must(cidr.parseCidr('10.1.0.0/16'), 'a network')
  assert.equal(cidr.formatCidr(must(cidr.subnet(pods, 24, 3), 'a subnet')), '10.1.3.0/24')
  assert.equal(cidr.subnet(pods, 24, 256), null)
  assert.ok(!cidr.cidrsOverlap(pods, network))
  assert.equal(cidr.parseCidr('10.1.0.0/33'), null)
})
