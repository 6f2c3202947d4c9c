/** Backups of a store that is written to: they equal the state at their revision, and leave nothing behind. */
import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Mk8sError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/base/random.ts'
import { type Backup, openBackup } from '../../src/runtime/backup/backup-reader.ts'
import type { OpeningKey, SealingKey } from '../../src/runtime/backup/keys.ts'
import { writeFileWhole } from '../../src/runtime/backup/output.ts'
import { BACKUP_TARGET_SECRET_TYPE } from '../../src/runtime/backup/state-contents.ts'
import { verifyBackup, withBackupState } from '../../src/runtime/backup/verify-backup.ts'
import { AUTHORITY_KEY, BackupStore, bare, plainValue } from '../support/backup-store.ts'
import { SmallFileSystem, whyNoFileSystems } from '../support/store-damage.ts'
import { until } from '../support/until.ts'

const MEBIBYTE = 1024 * 1024
const PASSPHRASE = { kind: 'passphrase', passphrase: Buffer.from('open') } as const

/** What was set up last goes first. */
class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), 'mk8s-backup-'))
  readonly #undo: (() => unknown)[] = [() => rmSync(this.directory, { recursive: true, force: true })]

  constructor(t: TestContext) {
    t.after(async () => {
      for (const undo of this.#undo.reverse()) await undo()
    })
  }

  async open(directory: string): Promise<BackupStore> {
    const held = await BackupStore.open(directory)
    this.#undo.push(() => held.store.close())
    return held
  }

  smallDisk(bytes: number): SmallFileSystem {
    const disk = new SmallFileSystem(join(this.directory, 'disk'), bytes)
    this.#undo.push(() => disk.remove())
    return disk
  }

  end(undo: () => Promise<unknown>): void {
    this.#undo.push(undo)
  }
}

async function backupTo(
  held: BackupStore,
  path: string,
  key: (SealingKey & OpeningKey) | null,
): Promise<Backup> {
  await held.backup(key, content => writeFileWhole(path, content.bytes(), { force: false }))
  return await openBackup(path, key)
}

const copiesIn = (directory: string): string[] =>
  readdirSync(join(directory, 'datastore')).filter(name => name.startsWith('backup-'))

/** Writers that put, replace and delete until they are told to end; returns the last revision acknowledged. */
function writeOn(held: BackupStore): { acknowledged: () => number; end: () => Promise<void> } {
  const random = seededRandom(7)
  let over = false
  let acknowledged = 0
  const write = async (writer: number) => {
    for (let count = 0; !over; count++) {
      const name = `w${writer}-${Math.floor(random.float() * 50)}`
      const key = `/registry/core/configmaps/default/${name}`
      const gone = random.float() < 0.2
      const object = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default' },
        data: { count },
      }
      const operation = gone
        ? ({ type: 'delete', key } as const)
        : ({ type: 'put', key, value: plainValue(object) } as const)
      const { revision } = await held.store.transact({ compares: [], operations: [operation] })
      acknowledged = Math.max(acknowledged, revision)
    }
  }
  const all = Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
  return {
    acknowledged: () => acknowledged,
    async end() {
      over = true
      await all
    },
  }
}

test('a backup under load equals the state at its revision, which is not older than its beginning', async t => {
  const stage = new Stage(t)
  const { directory } = stage
  const held = await stage.open(directory)
  const writers = writeOn(held)
  stage.end(writers.end)
  await until('there is something', () => writers.acknowledged() > 200)
  for (let run = 0; run < 4; run++) {
    const before = writers.acknowledged()
    const backup = await backupTo(held, join(directory, `backup-${run}`), run % 2 === 0 ? null : PASSPHRASE)
    assert.ok(backup.manifest.revision >= before)
    await verifyBackup(backup)
    await until('the watch has come so far', () => held.hasSeen(backup.manifest.revision))
    const expected = held.stateAt(backup.manifest.revision)
    await withBackupState(backup, state => {
      const found = [...state.range('\0', '\u{10ffff}')]
      assert.equal(found.length, expected.size)
      for (const kv of found) assert.deepEqual(kv, bare(expected.get(kv.key)))
    })
    backup.close()
  }
  await writers.end()
  assert.deepEqual(copiesIn(directory), [])
})

test('keys are in encrypted backups only, and credentials of backup targets are in no other', async t => {
  const stage = new Stage(t)
  const { directory } = stage
  const held = await stage.open(directory)
  const secret = (name: string, type: string, word: string) =>
    held.put(
      `/registry/core/secrets/kube-system/${name}`,
      plainValue({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace: 'kube-system' },
        type,
        data: { word },
      }),
    )
  await secret('other', 'Opaque', 'harmless')
  await secret('target', BACKUP_TARGET_SECRET_TYPE, 'unspeakable'.repeat(50))
  await secret('target', BACKUP_TARGET_SECRET_TYPE, 'unspeakable'.repeat(2_000))
  await secret('gone', BACKUP_TARGET_SECRET_TYPE, 'unspeakable'.repeat(10))
  const key = '/registry/core/secrets/kube-system/gone'
  await held.store.transact({ compares: [], operations: [{ type: 'delete', key }] })

  const plain = await backupTo(held, join(directory, 'plain'), null)
  await verifyBackup(plain)
  const bytes = readFileSync(plain.path)
  assert.equal(bytes.includes('unspeakable'), false)
  assert.equal(bytes.includes(AUTHORITY_KEY), false)
  assert.equal(bytes.includes('harmless'), true)
  assert.deepEqual(plain.manifest.leftOut, ['kube-system/gone', 'kube-system/target'])
  assert.deepEqual([plain.manifest.hasKeys, plain.manifest.counts], [false, { secrets: 1 }])
  assert.equal(statSync(plain.path).mode & 0o777, 0o600)
  plain.close()

  const sealed = await backupTo(held, join(directory, 'sealed'), PASSPHRASE)
  await verifyBackup(sealed)
  assert.equal(sealed.read('keys/cluster-ca.key').toString(), AUTHORITY_KEY)
  assert.deepEqual([sealed.manifest.hasKeys, sealed.manifest.counts], [true, { secrets: 2 }])
  sealed.close()
})

test('what a crash leaves is gone after the next start', async t => {
  const stage = new Stage(t)
  const { directory } = stage
  mkdirSync(join(directory, 'datastore'), { recursive: true, mode: 0o700 })
  for (const name of ['backup-0123456789abcdef.sqlite', 'backup-0123456789abcdef.sqlite.anew'])
    writeFileSync(join(directory, 'datastore', name), 'left')
  await stage.open(directory)
  assert.deepEqual(copiesIn(directory), [])
})

const skip = whyNoFileSystems() ?? false

test('a disk that is full at any step is a clear error that leaves nothing, and the store goes on', {
  skip,
}, async t => {
  const stage = new Stage(t)
  const disk = stage.smallDisk(200 * MEBIBYTE)
  const held = await stage.open(disk.path)
  for (let at = 0; at < 16; at++)
    await held.put(
      `/registry/core/configmaps/default/big-${at}`,
      plainValue({ filler: 'x'.repeat(MEBIBYTE) }),
    )
  const bytes = await held.backup(
    PASSPHRASE,
    async ({ manifest }) => manifest.parts.find(part => part.name === 'state.sqlite')?.size ?? 0,
  )
  const ballast = join(disk.path, 'ballast')
  const free = () => {
    const { bavail, bsize } = statfsSync(disk.path)
    return bavail * bsize
  }
  // Its next segment is filled with zeros beside everything else, and a log that cannot be written ends the store.
  const isFilling = () => readdirSync(join(disk.path, 'datastore/wal')).includes('filling.wal')
  const outcome = async (room: number, to: string): Promise<unknown> => {
    // Nor may the database have anything left to bring from SQLite's own log.
    await held.store.defragment()
    await until('the log has its next segment', () => !isFilling())
    writeFileSync(ballast, Buffer.alloc(Math.max(0, free() - room)))
    const error = await backupTo(held, to, null).then(
      () => null,
      error => error,
    )
    rmSync(ballast)
    assert.deepEqual(copiesIn(disk.path), [])
    return error
  }
  const to = join(disk.path, 'backup')
  const type = 'mk8s.io/backup-target'
  // In the middle of the copy and of the file; with credentials in between, of what is written anew without them.
  for (const [share, secret] of [
    [0.5, ''],
    [1.5, ''],
    [1.5, 's3'],
    [2.5, 's3'],
  ] as const) {
    if (secret !== '') await held.put(`/registry/core/secrets/kube-system/${secret}`, plainValue({ type }))
    const error = await outcome(share * bytes, to)
    assert.ok(error instanceof Mk8sError, `${share}: ${error}`)
    assert.match(error.code, /^(store|host)\/disk$/)
    assert.match(error.why ?? '', /full/)
    assert.deepEqual(readdirSync(disk.path).sort(), ['datastore', 'pki'])
  }
  assert.equal(await outcome(4 * bytes, to), null)
  await held.put('/registry/core/configmaps/default/after', plainValue({}))
})
