/** Schedules of a real server whose backups go to a real S3 server and to another machine, with Secrets made by kubectl. */

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { BackupRun, BackupScheduleStatus } from '../../src/client/backup-schedule-status.ts'
import { S3Client } from '../../src/runtime/backup/targets/s3/client.ts'
import { parseS3Place } from '../../src/runtime/backup/targets/s3/place.ts'
import { openS3 } from '../../src/runtime/backup/targets/s3/s3-target.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { Sshd, whyNoSshd } from '../support/sshd.ts'
import { SWIFT_ACCESS_KEY, SWIFT_REGION, SWIFT_SECRET_KEY, Swift, whyNoSwift } from '../support/swift.ts'

const PARTS = { clock: systemClock, random: systemRandom }
const never = new AbortController().signal
const YEARLY = ['--cron', '0 3 1 1 *']

describe('schedules with remote targets', { skip: whyNoSwift() ?? whyNoSshd() ?? false }, () => {
  const swift = new Swift()
  const sshd = new Sshd()
  let servers: TestServers
  let node: TestNode
  const at = (name: string): string => join(node.dataDir, '..', name)

  before(async () => {
    const started = await Promise.all([startServers({ count: 1 }), swift.start(), sshd.start()])
    servers = started[0]
    const [first] = servers.nodes
    assert.ok(first)
    node = first
  })
  after(async () => {
    await Promise.all([servers.remove(), swift.stop(), sshd.stop()])
  })

  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await node.mk8s(args)
    assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }

  async function createSecret(
    name: string,
    values: Readonly<Record<string, string | Buffer>>,
  ): Promise<void> {
    const files = Object.entries(values).map(([key, value]) => {
      const file = at(`${name}.${key}`)
      writeFileSync(file, value, { mode: 0o600 })
      return `--from-file=${key}=${file}`
    })
    const args = ['create', 'secret', 'generic', name, '--type=mk8s.io/backup-target', ...files]
    await node.kubectl.ok(['-n', 'kube-system', ...args])
  }

  it('go to a bucket, are listed there, and are whole when they come back', async () => {
    const url = `s3://backups/cluster?endpoint=${swift.endpoint}&region=${SWIFT_REGION}`
    const client = new S3Client(
      parseS3Place(new URL(url)),
      { accessKeyId: SWIFT_ACCESS_KEY, secretAccessKey: SWIFT_SECRET_KEY },
      PARTS,
    )
    await client.send({ what: 'making the bucket', method: 'PUT', key: '' }, never)
    const values = { 'access-key-id': SWIFT_ACCESS_KEY, 'secret-access-key': `${SWIFT_SECRET_KEY}\n` }
    await createSecret('wrong', { ...values, 'secret-access-key': 'wrong' })
    const refused = await node.mk8s([
      'backup',
      'schedule',
      'set',
      's3',
      ...YEARLY,
      '--to',
      url,
      '--secret',
      'wrong',
    ])
    assert.match(refused.stderr, /the secret access key is wrong/)
    await createSecret('s3', values)
    await ok('backup', 'schedule', 'set', 's3', ...YEARLY, '--to', url, '--secret', 's3')
    const run = JSON.parse(await ok('backup', 'schedule', 'run', 's3', '--json')) as BackupRun
    assert.match(await ok('backup', 'list', '--schedule', 's3'), new RegExp(run.file ?? 'a file'))
    const credentials = new Map(Object.entries(values).map(([key, value]) => [key, Buffer.from(value)]))
    const bytes = await Array.fromAsync(openS3(new URL(url), credentials, PARTS).get(run.file ?? '', never))
    const file = at('back.mk8sbackup')
    writeFileSync(file, Buffer.concat(bytes))
    await ok('backup', 'verify', file)
    assert.match(
      await ok('backup', 'inspect', file),
      /Secret kube-system\/s3: credentials of a backup target/,
    )
    assert.ok(!Buffer.concat(bytes).includes(Buffer.from(values['secret-access-key']).toString('base64')))
  })

  it('are looked into and restored from where they are, with the Secret or a file of credentials', async () => {
    const url = `s3://backups/cluster?endpoint=${swift.endpoint}&region=${SWIFT_REGION}`
    await node.kubectl.ok(['create', 'configmap', 'kept', '--from-literal=a=1'])
    const run = JSON.parse(await ok('backup', 'schedule', 'run', 's3', '--json')) as BackupRun
    await node.kubectl.ok(['create', 'configmap', 'later', '--from-literal=a=1'])
    const ofFile = url.replace('?', `/${run.file}?`)
    const told = await ok('backup', 'verify', '--schedule', 's3', '--json')
    assert.match((JSON.parse(told) as { file: string }).file, new RegExp(`^${run.file} of s3:`))
    assert.match(await ok('backup', 'inspect', '--schedule', 's3', 'configmaps/default'), / kept /)
    await ok('backup', 'verify', ofFile, '--secret', 's3')

    const away = ['--data-dir', at('nowhere')]
    const file = at('s3.yaml')
    const lines = `access-key-id: ${SWIFT_ACCESS_KEY}\nsecret-access-key: ${SWIFT_SECRET_KEY}\n`
    writeFileSync(file, lines, { mode: 0o644 })
    const open = await node.mk8s(['backup', 'verify', ofFile, '--credentials', file, ...away])
    assert.match(
      `${open.code} ${open.stderr}`,
      /others than its owner can read[\s\S]*mode is 0644[\s\S]*chmod 600/,
    )
    chmodSync(file, 0o600)
    await ok('backup', 'verify', ofFile, '--credentials', file, ...away)
    assert.match(await ok('backup', 'list', url, '--credentials', file, ...away), new RegExp(run.file))
    const target = await node.mk8s(['backup', 'verify', url, '--credentials', file, ...away])
    assert.match(
      `${target.code} ${target.stderr}`,
      new RegExp(`^2 [\\s\\S]*not said which[\\s\\S]*/${run.file}`),
    )
    const missing = ofFile.replace('.mk8sbackup', '1.mk8sbackup')
    const wrong = await node.mk8s(['backup', 'verify', missing, '--credentials', file, ...away])
    assert.match(
      `${wrong.code} ${wrong.stderr}`,
      new RegExp(`^1 [\\s\\S]*no such file[\\s\\S]*did you mean ${run.file}`),
    )
    writeFileSync(file, `access-key-id: ${SWIFT_ACCESS_KEY}\nsecret-access-key: "${SWIFT_SECRET_KEY}\n`)
    const broken = await node.mk8s(['backup', 'verify', ofFile, '--credentials', file, ...away])
    assert.match(broken.stderr, /neither YAML nor JSON/)
    assert.ok(!broken.stderr.includes(SWIFT_SECRET_KEY))

    const restored = await node.mk8s(['restore-datastore', '--schedule', 's3', '--yes'])
    assert.equal(restored.code, 0, restored.stderr)
    assert.match(restored.stderr, /1 schedule of backups, s3, goes on in the restored cluster/)
    assert.match(await node.kubectl.ok(['get', 'configmaps', '-o', 'name']), /kept/)
    assert.doesNotMatch(await node.kubectl.ok(['get', 'configmaps', '-o', 'name']), /later/)
    const [schedule] = JSON.parse(await ok('backup', 'schedule', 'list', '--json')) as BackupScheduleStatus[]
    assert.equal(schedule?.running, null)
    const left = readdirSync(node.dataDir).filter(name => name.startsWith('fetched-'))
    assert.deepEqual(left, [])
    // Its credentials were no part of the backup.
    await createSecret('s3', { 'access-key-id': SWIFT_ACCESS_KEY, 'secret-access-key': SWIFT_SECRET_KEY })
    const none = await node.mk8s(['backup', 'verify', '--schedule', 's3'])
    assert.match(
      none.stderr,
      /no backup of the schedule s3 of this cluster[\s\S]*a cluster that was restored has a new id/,
    )
    await ok('backup', 'verify', run.file, '--schedule', 's3')
    const next = JSON.parse(await ok('backup', 'schedule', 'run', 's3', '--json')) as BackupRun
    assert.notEqual(next.file.slice(0, 13), run.file.slice(0, 13))
    assert.deepEqual(next.removed, [])
  })

  for (const scheme of ['ssh', 'rsync']) {
    it(`go to another machine by ${scheme}`, async () => {
      const directory = at(scheme)
      mkdirSync(directory)
      const known = `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`
      const values = { 'ssh-private-key': sshd.privateKey, 'known-hosts': known, passphrase: 'open\n' }
      await createSecret(scheme, values)
      const url = `${scheme}://${sshd.user}@127.0.0.1:${sshd.port}${directory}`
      await ok(
        'backup',
        'schedule',
        'set',
        scheme,
        ...YEARLY,
        '--to',
        url,
        '--secret',
        scheme,
        '--passphrase-in-secret',
      )
      const run = JSON.parse(await ok('backup', 'schedule', 'run', scheme, '--json')) as BackupRun
      assert.deepEqual(readdirSync(directory), [run.file])
      const passphrase = at(`${scheme}.passphrase`)
      await ok('backup', 'verify', join(directory, run.file), '--passphrase-file', passphrase)
      await ok('backup', 'verify', '--schedule', scheme)
      await ok('backup', 'verify', `${url}/${run.file}`, '--secret', scheme)
      const database = at(`${scheme}.sqlite`)
      await ok('backup', 'decrypt', '--schedule', scheme, '-o', database)
      assert.equal(statSync(database).mode & 0o777, 0o600)
    })
  }
})
