/** The registry against skopeo, writers that race, kill -9 in the middle of an upload, and a disk that is full. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { findProgram, hasCapability } from '../../src/host/container-programs.ts'
import { renderOciArchive } from '../../src/runtime/images/oci-archive.ts'
import {
  pushBlob,
  pushImage,
  sha256,
  spawnRegistry,
  startRegistry,
  type TestRegistry,
  temporaryDirectory,
} from '../support/image-registry.ts'
import { run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const withSkopeo = {
  skip:
    findProgram('skopeo') === undefined ? 'not installed: skopeo (Debian: apt-get install skopeo)' : false,
}

async function skopeo(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('skopeo', args)
  assert.equal(code, 0, `skopeo ${args.join(' ')}: ${stderr}`)
  return stdout
}

function archiveAt(t: TestContext, name: string): string {
  const content = randomBytes(3 * 1024 * 1024)
  const files = [{ type: 'file' as const, name: 'filler', mode: 0o644, content }]
  const path = join(temporaryDirectory(t), 'image.tar')
  writeFileSync(path, renderOciArchive({ name, architecture: 'amd64', files }))
  return path
}

const blobsIn = (directory: string) =>
  readdirSync(join(directory, 'blobs'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))

/** Whatever happened: each file has the content that its name says. */
function assertWhole(directory: string): void {
  for (const path of blobsIn(directory)) {
    const algorithm = path.includes('/sha512/') ? 'sha512' : 'sha256'
    const hex = createHash(algorithm).update(readFileSync(path)).digest('hex')
    assert.ok(path.endsWith(hex), path)
  }
}

test('skopeo pushes, inspects, copies, pulls by digest and deletes', withSkopeo, async t => {
  const { host, url, directory } = await startRegistry(t)
  const archive = archiveAt(t, 'localhost/app:v1')
  const insecure = '--tls-verify=false'
  await skopeo('copy', '--dest-tls-verify=false', `oci-archive:${archive}`, `docker://${host}/team/app:v1`)
  const tags = JSON.parse(await skopeo('list-tags', insecure, `docker://${host}/team/app`)) as {
    Tags: string[]
  }
  assert.deepEqual(tags.Tags, ['v1'])
  const blobs = blobsIn(directory).length
  const both = ['--src-tls-verify=false', '--dest-tls-verify=false']
  await skopeo('copy', ...both, `docker://${host}/team/app:v1`, `docker://${host}/other/app:v2`)
  assert.equal(blobsIn(directory).length, blobs)
  const inspected = await skopeo('inspect', insecure, `docker://${host}/other/app:v2`)
  const { Digest: digest } = JSON.parse(inspected) as { Digest: string }
  const pulled = join(temporaryDirectory(t), 'pulled')
  await skopeo('copy', '--src-tls-verify=false', `docker://${host}/other/app@${digest}`, `dir:${pulled}`)
  assert.equal(sha256(readFileSync(join(pulled, 'manifest.json'))), digest)
  const format = ['--format', 'v2s2']
  await skopeo('copy', ...format, ...both, `docker://${host}/team/app:v1`, `docker://${host}/team/docker:v1`)
  await skopeo('delete', insecure, `docker://${host}/other/app:v2`)
  assert.equal((await fetch(`${url}/v2/other/app/manifests/v2`)).status, 404)
  assertWhole(directory)
})

/** A PATCH that has sent this much and goes on when it is told to. */
async function halfAPatch(location: string, content: Buffer) {
  const patch = request(location, { method: 'PATCH' })
  patch.on('error', () => {})
  const answered = new Promise<number>(resolve =>
    patch.once('response', ({ statusCode = 0 }) => resolve(statusCode)),
  )
  await new Promise<void>((resolve, reject) =>
    patch.write(content, error => (error ? reject(error) : resolve())),
  )
  return { patch, answered }
}

async function begin(url: string): Promise<string> {
  const response = await fetch(`${url}/v2/team/app/blobs/uploads/`, { method: 'POST' })
  return must(response.headers.get('location'), 'a location')
}

test('two writers of one blob at once both succeed', async t => {
  const { url, directory } = await startRegistry(t)
  const content = randomBytes(8 * 1024 * 1024)
  const half = content.length / 2
  const writers = await Promise.all(
    [1, 2].map(async () => {
      const location = `${url}${await begin(url)}`
      return { location, ...(await halfAPatch(location, content.subarray(0, half))) }
    }),
  )
  for (const { patch } of writers) patch.end(content.subarray(half))
  const digest = sha256(content)
  const done = await Promise.all(
    writers.map(async ({ location, answered }) => {
      assert.equal(await answered, 202)
      return (await fetch(`${location}?digest=${digest}`, { method: 'PUT' })).status
    }),
  )
  assert.deepEqual(done, [201, 201])
  assert.equal(blobsIn(directory).length, 1)
  assert.deepEqual(readdirSync(join(directory, 'uploads')), [])
  assertWhole(directory)
})

test('a second request to one upload is told that there is another', async t => {
  const { url } = await startRegistry(t)
  const location = `${url}${await begin(url)}`
  const content = randomBytes(4 * 1024 * 1024)
  const { patch, answered } = await halfAPatch(location, content)
  await until('the first one writes', async () => (await fetch(location)).headers.get('range') !== '0-0')
  assert.equal((await fetch(location, { method: 'PATCH', body: 'x' })).status, 409)
  patch.end()
  assert.equal(await answered, 202)
})

test('an upload goes on after kill -9 where it was, and nothing that was acknowledged is lost', async t => {
  const directory = join(temporaryDirectory(t), 'volume')
  const content = randomBytes(12 * 1024 * 1024)
  const digest = sha256(content)
  const first = await spawnRegistry(t, directory)
  const kept = await pushImage(first.url, 'team/kept', 'v1')
  const location = await begin(first.url)
  await halfAPatch(`${first.url}${location}`, content.subarray(0, 6 * 1024 * 1024))
  const lost = await begin(first.url)
  const sizeOf = async (url: string) => {
    const { headers, status } = await fetch(`${url}${location}`)
    assert.equal(status, 204)
    return Number(headers.get('range')?.split('-')[1]) + 1
  }
  await until('a part has come', async () => (await sizeOf(first.url)) >= 4 * 1024 * 1024)
  await first.kill()

  const second = await spawnRegistry(t, directory)
  const at = await sizeOf(second.url)
  assert.ok(at >= 4 * 1024 * 1024 && at <= 6 * 1024 * 1024)
  const rest = content.subarray(at)
  const headers = { 'content-range': `${at}-${content.length - 1}` }
  assert.equal(
    (await fetch(`${second.url}${location}`, { method: 'PATCH', headers, body: rest })).status,
    202,
  )
  await second.kill()

  const third = await spawnRegistry(t, directory)
  const put = await fetch(`${third.url}${location}?digest=${digest}`, { method: 'PUT' })
  assert.equal(put.status, 201)
  const found = await fetch(`${third.url}/v2/team/app/blobs/${digest}`)
  assert.ok(content.equals(Buffer.from(await found.arrayBuffer())))
  const manifest = await fetch(`${third.url}/v2/team/kept/manifests/v1`)
  assert.equal(manifest.headers.get('docker-content-digest'), kept.digest)
  assert.equal((await fetch(`${third.url}${lost}`, { method: 'DELETE' })).status, 204)
  assertWhole(directory)
})

const mayMount = process.geteuid?.() === 0 && hasCapability('CAP_SYS_ADMIN')

test('a full disk refuses a push in words, keeps what is there, and takes it once there is room', {
  skip: mayMount ? false : 'mounting needs root on Linux',
}, async t => {
  const parent = temporaryDirectory(t)
  const [image, disk] = [join(parent, 'disk.img'), join(parent, 'disk')]
  mkdirSync(disk)
  execFileSync('truncate', ['-s', '24M', image])
  execFileSync('mkfs.ext4', ['-q', image])
  execFileSync('mount', ['-o', 'loop', image, disk])
  const registry = await startRegistry(t, { directory: join(disk, 'registry') })
  try {
    await fillDisk(registry)
  } finally {
    await registry.close()
    execFileSync('umount', [disk])
  }
})

async function fillDisk({ url, collect, directory }: TestRegistry): Promise<void> {
  const kept = await pushImage(url, 'full', 'v1', 'x'.repeat(8 * 1024 * 1024))
  const content = randomBytes(14 * 1024 * 1024)
  const location = `${url}${await begin(url)}`
  const refused = await fetch(location, { method: 'PATCH', body: content })
  assert.equal(refused.status, 507)
  assert.match(await refused.text(), /"code":"DENIED".*the disk of the registry is full/)
  const whole = await (await fetch(`${url}/v2/full/blobs/${kept.layer}`)).bytes()
  assert.equal(sha256(whole), kept.layer)
  await fetch(`${url}/v2/full/manifests/${kept.digest}`, { method: 'DELETE' })
  // The push that failed may go on; who gives it up gives its room back.
  assert.equal((await fetch(location, { method: 'DELETE' })).status, 204)
  assert.equal((await collect({ graceMs: 0, untagged: false })).blobs, 3)
  assert.equal(await pushBlob(url, 'full', content), sha256(content))
  assertWhole(directory)
}
