/** Which flushes the log's thread waits for itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  FlushManner,
  QUICK_FLUSHES,
  QUICK_MS_MAX,
} from '../../../../../src/runtime/store/log/flush-manner.ts'

test('a disk is quick until one flush is slow, and again after enough quick ones in a row', () => {
  const manner = new FlushManner()
  manner.took(QUICK_MS_MAX)
  assert.equal(manner.isQuick, true)
  manner.took(QUICK_MS_MAX + 1)
  for (let count = 1; count < QUICK_FLUSHES; count++) manner.took(1)
  assert.equal(manner.isQuick, false)
  manner.took(QUICK_MS_MAX + 1)
  for (let count = 1; count < QUICK_FLUSHES; count++) manner.took(1)
  assert.equal(manner.isQuick, false)
  manner.took(1)
  assert.equal(manner.isQuick, true)
})
