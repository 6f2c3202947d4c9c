/** Schedules of a real server whose backups go to a real S3 server and to another machine, with Secrets made by kubectl. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { BackupRun } from '../../src/client/backup-schedules.ts'
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

  for (const scheme of ['ssh', 'rsync']) {
    it(`go to another machine by ${scheme}`, async () => {
      const directory = at(scheme)
      mkdirSync(directory)
      const known = `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`
      await createSecret(scheme, { 'ssh-private-key': sshd.privateKey, 'known-hosts': known })
      const url = `${scheme}://${sshd.user}@127.0.0.1:${sshd.port}${directory}`
      await ok('backup', 'schedule', 'set', scheme, ...YEARLY, '--to', url, '--secret', scheme)
      const run = JSON.parse(await ok('backup', 'schedule', 'run', scheme, '--json')) as BackupRun
      assert.deepEqual(readdirSync(directory), [run.file])
      await ok('backup', 'verify', join(directory, run.file ?? ''))
    })
  }
})
