import assert from 'node:assert/strict'
import test from 'node:test'
import { nearest } from '../../../src/base/nearest.ts'

test('a mistyped word finds what was meant, and a strange one finds nothing', () => {
  const words = ['install', 'uninstall', 'status', 'start', 'stop']
  assert.equal(nearest('instal', words), 'install')
  assert.equal(nearest('stauts', words), 'status')
  assert.equal(nearest('STATUS', words), 'status')
  assert.equal(nearest('uninst', words), 'uninstall')
  assert.equal(nearest('frobnicate', words), undefined)
})
