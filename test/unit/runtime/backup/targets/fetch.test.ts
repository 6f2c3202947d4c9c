import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemRandom } from '../../../../../src/base/random.ts'
import { fetchBackup, newestOf } from '../../../../../src/runtime/backup/targets/fetch.ts'
import type { BackupTarget } from '../../../../../src/runtime/backup/targets/target.ts'

const parent = mkdtempSync(join(tmpdir(), 'mk8s-fetch-'))
after(() => rmSync(parent, { recursive: true, force: true }))
const signal = new AbortController().signal
const leftovers = new Set<string>()
const parts = (directory: string) => ({ directory, random: systemRandom, signal, leftovers, onBegin() {} })
const directory = () => mkdtempSync(join(parent, 'd-'))

/** What a target lists need not be what it gives. */
function targetOf(files: Readonly<Record<string, { bytes: number; gives?: string }>>): BackupTarget {
  const names = Object.entries(files)
  return {
    url: 's3://b',
    put: async () => ({ bytes: 0 }),
    remove: async () => {},
    check: async () => {},
    list: async () => names.map(([name, { bytes }], at) => ({ name, bytes, modifiedMs: at })),
    async *get(name) {
      yield Buffer.from(files[name]?.gives ?? '')
    },
  }
}

test('a file is fetched into one of mode 0600, and what killed processes left goes', async () => {
  const to = directory()
  writeFileSync(join(to, 'fetched-4194304-00ff.mk8sbackup'), 'left')
  writeFileSync(join(to, 'config.yaml'), 'stays')
  const path = await fetchBackup(
    targetOf({ 'a.mk8sbackup': { bytes: 4, gives: 'four' } }),
    'a.mk8sbackup',
    parts(to),
  )
  assert.equal(readFileSync(path, 'utf8'), 'four')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(to).sort(), ['config.yaml', path.slice(to.length + 1)])
  assert.deepEqual([...leftovers], [path])
  leftovers.clear()
})

test('a file that is not what the target says leaves nothing', async () => {
  const to = directory()
  const cases = [
    [{ bytes: 5, gives: 'four' }, /only 4 of its 5 bytes/],
    [{ bytes: 3, gives: 'four' }, /more than the 3 bytes/],
    [{ bytes: 2 ** 40 }, /at most 68719476736/],
    [{ bytes: 60 * 2 ** 30 + statSync(to).blksize }, /MiB are free|only 0 of/],
  ] as const
  for (const [file, why] of cases) {
    await assert.rejects(fetchBackup(targetOf({ 'a.mk8sbackup': file }), 'a.mk8sbackup', parts(to)), { why })
    assert.deepEqual(readdirSync(to), [])
    assert.deepEqual([...leftovers], [])
  }
})

test('the newest of a schedule is of this cluster, whatever else came later', async () => {
  const name = (cluster: string, schedule: string, day: number) =>
    `mk8s-${cluster}-${schedule}-202601${day}T030000Z.mk8sbackup`
  const names = [
    name('aaaaaaaa', 's', 12),
    name('aaaaaaaa', 's', 11),
    name('bbbbbbbb', 's', 13),
    name('aaaaaaaa', 's-t', 14),
  ]
  const target = targetOf(
    Object.fromEntries([...names, `${names[0]}.part`].map(each => [each, { bytes: 1 }])),
  )
  const of = (clusterId: string) => newestOf(target, { clusterId, schedule: 's' }, signal)
  assert.equal(await of('aaaaaaaa-1'), names[0])
  await assert.rejects(of('cccccccc-1'), {
    why: new RegExp(`the newest there: ${names[3]}, .*, and 1 older`),
  })
})
