/** What people install: Debian's own program reads the package, an unzipper the zip, and install.sh checks and installs. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { openPromise } from 'yauzl'
import { renderDeb, renderZip, rpmOf } from '../../../packaging/archives.ts'

const root = join(import.meta.dirname, '../../..')
const PROGRAM = '#!/bin/sh\ncase $1 in --version) echo "mk8s v9.9.9" ;; completion) echo "# for $2" ;; esac\n'
const files = [{ path: 'usr/bin/mk8s', mode: 0o755, content: Buffer.from(PROGRAM) }]

function withDirectory(use: (directory: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-archives-'))
  try {
    use(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const skip = existsSync('/usr/bin/dpkg-deb') ? false : 'dpkg-deb is not installed'

test('dpkg-deb unpacks the package, which says what it needs', { skip }, () => {
  withDirectory(directory => {
    const deb = join(directory, 'mk8s.deb')
    writeFileSync(
      deb,
      renderDeb(files, { version: '0.2.0-rc.1', time: 1_700_000_000, architecture: 'amd64' }),
    )
    const field = (name: string) => execFileSync('dpkg-deb', ['-f', deb, name], { encoding: 'utf8' }).trim()
    assert.deepEqual(
      [field('Package'), field('Version'), field('Architecture')],
      ['mk8s', '0.2.0~rc.1', 'amd64'],
    )
    assert.match(field('Depends'), /libc6 \(>= 2\.28\)/)
    execFileSync('dpkg-deb', ['-x', deb, join(directory, 'root')])
    assert.equal(readFileSync(join(directory, 'root/usr/bin/mk8s'), 'utf8'), PROGRAM)
  })
})

const skipRpm = existsSync('/usr/bin/rpm') ? false : 'rpm is not installed'

test('rpm checks the package and unpacks it, and one byte that changed is found', { skip: skipRpm }, () => {
  withDirectory(directory => {
    const path = join(directory, 'mk8s.rpm')
    const made = rpmOf(files, { version: '0.2.0-rc.1', time: 1_700_000_000, architecture: 'x86_64' })
    writeFileSync(path, made)
    const rpm = (...args: string[]) =>
      spawnSync('rpm', ['--dbpath', join(directory, 'db'), ...args], { encoding: 'utf8' })
    const query = rpm('-qp', '--qf', '%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{BUILDTIME}', path)
    assert.equal(query.stdout, 'mk8s 0.2.0~rc.1-1 x86_64 1700000000', query.stderr)
    assert.match(rpm('-qp', '--requires', path).stdout, /libc\.so\.6\(GLIBC_2\.28\)\(64bit\)/)
    assert.match(rpm('-qp', '--scripts', path).stdout, /preuninstall[\s\S]*mk8s stop/)
    const checked = rpm('-Kv', '--nosignature', path)
    assert.equal(checked.status, 0, checked.stdout)
    assert.match(checked.stdout, /Payload SHA256 digest: OK/)
    const root = join(directory, 'root')
    const put = rpm('-i', '--root', root, '--nodeps', '--noscripts', '--ignorearch', path)
    assert.equal(put.status, 0, put.stderr)
    assert.equal(readFileSync(join(root, 'usr/bin/mk8s'), 'utf8'), PROGRAM)
    writeFileSync(path, made.fill(1, made.length - 20, made.length - 19))
    assert.equal(rpm('-K', '--nosignature', path).status, 1)
  })
})

test('the zip holds its files', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-zip-'))
  try {
    const path = join(directory, 'mk8s.zip')
    writeFileSync(path, renderZip(files, 1_700_000_000))
    const zip = await openPromise(path, { lazyEntries: true })
    const found: string[] = []
    for await (const entry of zip.eachEntry()) {
      const content = await zip.openReadStreamPromise(entry)
      found.push(entry.fileName, Buffer.concat(await content.toArray()).toString('utf8'))
    }
    assert.deepEqual(found, ['usr/bin/mk8s', PROGRAM])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('install.sh installs from a directory, and refuses what was changed', () => {
  withDirectory(directory => {
    const machine = process.arch === 'arm64' ? 'arm64' : 'x64'
    const name = `mk8s-${process.platform === 'darwin' ? 'macos' : 'linux'}-${machine}`
    const prefix = join(directory, 'prefix')
    writeFileSync(join(directory, name), PROGRAM)
    writeFileSync(
      join(directory, 'SHA256SUMS'),
      `${createHash('sha256').update(PROGRAM).digest('hex')}  ${name}\n`,
    )
    const install = () =>
      spawnSync('sh', [join(root, 'packaging/install.sh'), '--from', directory, '--prefix', prefix], {
        encoding: 'utf8',
      })
    const done = install()
    assert.equal(done.status, 0, done.stderr)
    assert.match(done.stderr, /mk8s v9\.9\.9 is installed\.\n {2}next .*mk8s install/)
    assert.equal(readFileSync(join(prefix, 'bin/mk8s'), 'utf8'), PROGRAM)
    const completion = join(prefix, 'share/bash-completion/completions/mk8s')
    assert.equal(readFileSync(completion, 'utf8'), '# for bash\n')
    writeFileSync(join(directory, name), `${PROGRAM}# changed\n`)
    const refused = install()
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /the checksum of mk8s-\S+ is wrong/)
    assert.equal(readFileSync(join(prefix, 'bin/mk8s'), 'utf8'), PROGRAM)
  })
})
