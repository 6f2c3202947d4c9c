/** A configuration file that changes while the daemon runs: a good one counts at once, a broken one never. */
import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { FollowedFile } from '../../../src/runtime/followed-file.ts'
import { temporaryDirectory } from '../../support/cluster.ts'
import { until } from '../../support/until.ts'

async function follow(t: TestContext) {
  const directory = temporaryDirectory()
  const path = join(directory, 'config.yaml')
  const write = (text: string) => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  write('one')
  const applied: string[] = []
  const file = new FollowedFile({
    ...{ name: 'some-config', metricPrefix: 'some_config_controller', serverId: 'n1', path, text: 'one' },
    apply(text) {
      if (text.includes('broken')) throw new Error(`${text} is no configuration`)
      applied.push(text)
    },
    clock: systemClock,
    log: silentLog,
  })
  await file.start()
  t.after(async () => {
    await file.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const reloads = (status: string) =>
    file.metrics().find(({ name, labels }) => name.endsWith('reloads_total') && labels?.['status'] === status)
  return { path, write, applied, file, reloads }
}

test('what is written counts, and what is broken leaves the last good one and is told until it is mended', async t => {
  const { path, write, applied, file, reloads } = await follow(t)
  write('two')
  await until('the second', () => applied.includes('two'))
  write('broken')
  await until('the problem', () => file.problems().length > 0)
  assert.match(file.problems()[0]?.message ?? '', /the one before counts on: broken is no configuration/)
  rmSync(path)
  await until('that it is gone', () => /ENOENT/.test(file.problems()[0]?.message ?? ''))
  write('two')
  await until('that all is well', () => file.problems().length === 0)
  assert.deepEqual(applied, ['two'])
  const counts = ['success', 'failure'].map(status => Object(reloads(status)).value)
  assert.deepEqual(counts, [1, 2])
  const info = file.metrics().find(({ name }) => name === 'some_config_controller_last_config_info')
  assert.match(info?.labels?.['hash'] ?? '', /^sha256:[0-9a-f]{64}$/)
})
