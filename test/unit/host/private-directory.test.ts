/** Directories for the system and its administrators only. */
import assert from 'node:assert/strict'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { makePrivate, modeOfDirectory } from '../../../src/host/private-directory.ts'
import { temporaryDirectory } from '../../support/cluster.ts'

test('a directory is made with its parents, and one that is there and open is closed with all that it holds', async () => {
  const root = temporaryDirectory()
  const path = join(root, 'a', 'node')
  try {
    assert.equal(modeOfDirectory(path), undefined)
    await makePrivate(path, 0o700)
    assert.equal(modeOfDirectory(path), 0o700)
    chmodSync(path, 0o755)
    writeFileSync(join(path, 'file'), '')
    await makePrivate(path, 0o710)
    assert.equal(modeOfDirectory(path), 0o710)
    assert.equal(modeOfDirectory(join(path, 'file')), undefined)
    await assert.rejects(makePrivate(join(path, 'file', 'below'), 0o700), { code: 'host/disk' })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
