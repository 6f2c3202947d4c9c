/** The container of a backup: what was written comes back, and every kind of damage has its own error. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { seededRandom, systemRandom } from '../../../../src/base/random.ts'
import { planArchive, stageBytes, stageFile } from '../../../../src/runtime/backup/backup-archive.ts'
import { glanceAtBackup, openBackup } from '../../../../src/runtime/backup/backup-reader.ts'
import {
  type OpeningKey,
  readOpeningKey,
  readSealingKey,
  type SealingKey,
} from '../../../../src/runtime/backup/keys.ts'
import { listBackups } from '../../../../src/runtime/backup/list-backups.ts'
import { BACKUP_FORMAT_VERSION, type BackupManifest } from '../../../../src/runtime/backup/manifest.ts'
import { writeFileWhole } from '../../../../src/runtime/backup/output.ts'
import { makeMaster, seal } from '../../../../src/runtime/backup/seal.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-backup-'))
after(() => rmSync(directory, { recursive: true }))

const passphrase = (text: string) => ({ kind: 'passphrase', passphrase: Buffer.from(text) }) as const
const state = randomBytes(200_001)
let files = 0

interface Made {
  readonly path: string
  readonly bytes: Buffer
}

async function make(key: SealingKey | null, over: Partial<BackupManifest> = {}): Promise<Made> {
  const statePath = join(directory, 'source')
  writeFileSync(statePath, state)
  const parts = [
    stageBytes('cluster.yaml', Buffer.from('kind: ClusterConfig\n')),
    await stageFile('state.sqlite', statePath),
    stageBytes('keys/cluster-ca.key', Buffer.from('a key')),
  ]
  const manifest: BackupManifest = {
    format: 'mk8s-backup',
    formatVersion: BACKUP_FORMAT_VERSION,
    clusterId: 'c0ffee',
    revision: 42,
    compactedRevision: 7,
    appliedIndex: 99,
    createdAt: '2026-01-02T03:04:05.678Z',
    mk8sVersion: '0.0.0',
    kubernetesVersion: 'v1.36.0',
    nodeName: 'here',
    counts: { pods: 3 },
    keys: 4,
    leftOut: [],
    hasKeys: true,
    parts: parts.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
    ...over,
  }
  const { size, bytes } = planArchive(manifest, parts)
  const { createdAt, clusterId } = manifest
  const sealed = key && seal(bytes(), { size, createdAt, clusterId }, await makeMaster(key, systemRandom))
  const path = join(directory, `backup-${++files}`)
  await writeFileWhole(path, sealed ?? bytes(), { force: false })
  return { path, bytes: readFileSync(path) }
}

function put(bytes: Buffer): string {
  const path = join(directory, `backup-${++files}`)
  writeFileSync(path, bytes)
  return path
}

/** Everything that a verification of the container does; the error's code, or `good`. */
async function codeOf(path: string, key: OpeningKey | null): Promise<string> {
  try {
    const backup = await openBackup(path, key)
    try {
      await backup.checkParts()
    } finally {
      backup.close()
    }
    return 'good'
  } catch (error) {
    assert.ok(error instanceof Mk8sError, String(error))
    return error.code
  }
}

async function comesBack({ path }: Made, key: OpeningKey | null): Promise<void> {
  const backup = await openBackup(path, key)
  assert.equal(backup.manifest.revision, 42)
  assert.equal(backup.read('cluster.yaml').toString(), 'kind: ClusterConfig\n')
  const to = `${path}.state`
  await backup.extract('state.sqlite', to)
  assert.ok(readFileSync(to).equals(state))
  assert.equal(statSync(to).mode & 0o777, 0o600)
  await backup.checkParts()
  backup.close()
}

function keyFiles(privateKey: { export(options: object): string | Buffer }, publicKey: typeof privateKey) {
  const files = {
    privateKeyFile: join(directory, `${++files_}.key`),
    publicKeyFile: join(directory, `${files_}.pub`),
  }
  writeFileSync(files.privateKeyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(files.publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }))
  return files
}
let files_ = 0

test('a plain backup comes back, and tar finds the files that its checksums speak of', async () => {
  const made = await make(null)
  await comesBack(made, null)
  assert.equal(statSync(made.path).mode & 0o777, 0o600)
  const listed = execFileSync('tar', ['tf', made.path], { encoding: 'utf8' }).trim().split('\n')
  assert.deepEqual(listed, [
    'manifest.json',
    'cluster.yaml',
    'state.sqlite',
    'keys/cluster-ca.key',
    'SHA256SUMS',
  ])
  const to = mkdtempSync(join(directory, 'tar-'))
  execFileSync('tar', ['xf', made.path, '-C', to])
  // In the form that sha256sum --check reads.
  const sums = readFileSync(join(to, 'SHA256SUMS'), 'utf8').trim().split('\n')
  const told = new Map(sums.map(line => line.split('  ').reverse() as [string, string]))
  assert.deepEqual([...told.keys()], listed.slice(0, -1))
  for (const [name, sum] of told)
    assert.equal(
      createHash('sha256')
        .update(readFileSync(join(to, name)))
        .digest('hex'),
      sum,
    )
})

test('an encrypted backup comes back with its passphrase, and shows nothing without', async () => {
  const made = await make(passphrase('open'))
  await comesBack(made, passphrase('open'))
  assert.equal(made.bytes.indexOf('ClusterConfig'), -1)
  assert.equal(made.bytes.indexOf(state.subarray(0, 16)), -1)
  const glance = await glanceAtBackup(made.path)
  assert.deepEqual([glance.encryption, glance.clusterId, glance.manifest], ['passphrase', 'c0ffee', null])
})

test('an encrypted backup comes back with the private key, of X25519 and of elliptic curves', async () => {
  const pairs = [
    generateKeyPairSync('x25519'),
    generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
    generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
  ]
  for (const { privateKey, publicKey } of pairs) {
    const files = keyFiles(privateKey, publicKey)
    const made = await make(readSealingKey({ publicKeyFile: files.publicKeyFile }))
    await comesBack(made, readOpeningKey({ privateKeyFile: files.privateKeyFile }))
    const other = readOpeningKey(keyFiles(...halves(generateKeyPairSync('x25519'))))
    assert.equal(await codeOf(made.path, other), 'backup/key')
    assert.equal(await codeOf(made.path, passphrase('open')), 'backup/key')
  }
})

function halves<T>(pair: { privateKey: T; publicKey: T }): [T, T] {
  return [pair.privateKey, pair.publicKey]
}

test('keys that cannot be used are refused in words', () => {
  const rsa = keyFiles(...halves(generateKeyPairSync('rsa', { modulusLength: 2048 })))
  const good = keyFiles(...halves(generateKeyPairSync('x25519')))
  const empty = put(Buffer.from('\n'))
  const refused: [() => unknown, RegExp][] = [
    [() => readSealingKey({ publicKeyFile: rsa.publicKeyFile }), /type is rsa/],
    [() => readSealingKey({ publicKeyFile: good.privateKeyFile }), /private key/],
    [() => readOpeningKey({ privateKeyFile: good.publicKeyFile }), /public key/],
    [() => readSealingKey({ passphraseFile: empty }), /no passphrase/],
    [() => readSealingKey({ publicKeyFile: put(Buffer.from('nonsense')) }), /PEM/],
  ]
  for (const [read, why] of refused)
    assert.throws(
      read,
      error => error instanceof Mk8sError && error.code === 'backup/key' && why.test(error.why ?? ''),
    )
})

test('a wrong passphrase and a missing one are said to be that', async () => {
  const { path } = await make(passphrase('open'))
  assert.equal(await codeOf(path, passphrase('sesame')), 'backup/key')
  assert.equal(await codeOf(path, null), 'backup/key')
})

test('a renamed backup is as good as before', async () => {
  const { path } = await make(null)
  renameSync(path, join(directory, 'something else.bin'))
  assert.equal(await codeOf(join(directory, 'something else.bin'), null), 'good')
})

test('empty and foreign files are none of ours', async () => {
  const gzip = Buffer.concat([Buffer.from('1f8b0800', 'hex'), randomBytes(600)])
  const to = mkdtempSync(join(directory, 'tar-'))
  writeFileSync(join(to, 'other'), 'x')
  execFileSync('tar', ['cf', join(to, 'foreign.tar'), '-C', to, 'other'])
  const all = [
    Buffer.alloc(0),
    gzip,
    randomBytes(3),
    randomBytes(5000),
    readFileSync(join(to, 'foreign.tar')),
  ]
  for (const bytes of all) assert.equal(await codeOf(put(bytes), null), 'backup/foreign')
})

test('a newer format is said to be that, encrypted or not', async () => {
  const newer = { formatVersion: BACKUP_FORMAT_VERSION + 1 }
  assert.equal(await codeOf((await make(null, newer)).path, null), 'backup/version')
  assert.equal(
    await codeOf((await make(passphrase('open'), newer)).path, passphrase('open')),
    'backup/version',
  )
})

const pair = generateKeyPairSync('x25519')
const sealing = { kind: 'public-key', key: pair.publicKey } as const
const opening = { kind: 'private-key', key: pair.privateKey } as const

for (const [name, key, openingKey] of [
  ['plain', null, null],
  ['encrypted', sealing, opening],
] as const) {
  test(`wherever ${name === 'plain' ? 'a plain' : 'an encrypted'} backup is cut, it is not complete`, async () => {
    const { bytes } = await make(key)
    const random = seededRandom(1)
    const cuts = [
      30,
      511,
      513,
      bytes.length - 1,
      bytes.length - 512,
      ...Array.from({ length: 20 }, () => 1 + random.float() * (bytes.length - 2)),
    ]
    for (const cut of cuts.map(Math.floor))
      assert.equal(await codeOf(put(bytes.subarray(0, cut)), openingKey), 'backup/truncated', `cut at ${cut}`)
  })

  test(`whichever bit of ${name === 'plain' ? 'a plain' : 'an encrypted'} backup flips, it is noticed`, async () => {
    const { bytes } = await make(key)
    const random = seededRandom(2)
    const anywhere = Array.from({ length: 60 }, () => Math.floor(random.float() * bytes.length))
    for (const at of [
      0,
      25,
      60,
      100,
      124,
      300,
      512,
      700,
      bytes.length - 1,
      bytes.length - 600,
      bytes.length - 1500,
      ...anywhere,
    ]) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << Math.floor(random.float() * 8))
      const code = await codeOf(put(flipped), openingKey)
      const about = name === 'encrypted' && at < 22 ? 'backup/foreign' : 'backup/damaged'
      assert.equal(code, about, `flipped at ${at}`)
    }
  })

  test(`what follows ${name === 'plain' ? 'a plain' : 'an encrypted'} backup is noticed`, async () => {
    const { bytes } = await make(key)
    assert.equal(await codeOf(put(Buffer.concat([bytes, Buffer.alloc(512)])), openingKey), 'backup/damaged')
  })
}

test('chunks of an encrypted backup cannot change places, nor come from another one', async () => {
  const { bytes } = await make(passphrase('open'))
  const other = (await make(passphrase('open'))).bytes
  const chunk = 64 * 1024 + 16
  const begin = bytes.indexOf('\n', bytes.indexOf('\n', 22) + 1) + 1
  const otherBegin = other.indexOf('\n', other.indexOf('\n', 22) + 1) + 1
  const swapped = Buffer.from(bytes)
  bytes.copy(swapped, begin, begin + chunk, begin + 2 * chunk)
  bytes.copy(swapped, begin + chunk, begin, begin + chunk)
  const mixed = Buffer.from(bytes)
  other.copy(mixed, begin, otherBegin, otherBegin + chunk)
  for (const wrong of [swapped, mixed])
    assert.equal(await codeOf(put(wrong), passphrase('open')), 'backup/damaged')
})

test('a part that was replaced together with its size and name is noticed', async () => {
  const { bytes } = await make(null)
  const at = bytes.indexOf('kind: ClusterConfig')
  const other = Buffer.from(bytes)
  other.write('kind: SomethingElse', at)
  assert.equal(await codeOf(put(other), null), 'backup/damaged')
  const sums = bytes.indexOf(createHash('sha256').update('kind: ClusterConfig\n').digest('hex'))
  assert.ok(sums > 0)
})

test('an existing file is kept unless it may be replaced, and a failure leaves nothing', async () => {
  const to = mkdtempSync(join(directory, 'out-'))
  const path = join(to, 'file')
  async function* bytes(): AsyncGenerator<Buffer> {
    yield Buffer.from('new')
  }
  async function* failing(): AsyncGenerator<Buffer> {
    yield Buffer.from('half')
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  }
  await assert.rejects(writeFileWhole(path, failing(), { force: false }), {
    code: 'host/disk',
    why: 'the disk is full',
  })
  assert.deepEqual(readdirSync(to), [])
  writeFileSync(path, 'old')
  await assert.rejects(writeFileWhole(path, bytes(), { force: false }), { code: 'refused' })
  assert.equal(readFileSync(path, 'utf8'), 'old')
  await writeFileWhole(path, bytes(), { force: true })
  assert.equal(readFileSync(path, 'utf8'), 'new')
  assert.ok(existsSync(path))
  assert.deepEqual(readdirSync(to), ['file'])
})

test('a directory is listed by what is in the files, newest first, with what is wrong', async () => {
  const to = mkdtempSync(join(directory, 'list-'))
  const older = await make(null, { createdAt: '2025-01-02T03:04:05.678Z' })
  const newer = await make(passphrase('open'))
  writeFileSync(join(to, 'older'), older.bytes)
  writeFileSync(join(to, 'newer.bin'), newer.bytes)
  writeFileSync(join(to, 'cut'), older.bytes.subarray(0, 5_000))
  writeFileSync(join(to, 'empty.mk8sbackup'), '')
  writeFileSync(join(to, 'notes.txt'), 'something else')
  const listed = await listBackups(to)
  assert.deepEqual(
    listed.slice(0, 2).map(({ name, problem }) => [name, problem]),
    [
      ['newer.bin', null],
      ['older', null],
    ],
  )
  const problems = new Map(listed.map(({ name, problem }) => [name, problem ?? '']))
  assert.deepEqual([...problems.keys()].sort(), ['cut', 'empty.mk8sbackup', 'newer.bin', 'older'])
  assert.match(problems.get('cut') ?? '', /not complete/)
  assert.match(problems.get('empty.mk8sbackup') ?? '', /is empty/)
  await assert.rejects(listBackups(join(to, 'nowhere')), { code: 'config/unreadable' })
})
