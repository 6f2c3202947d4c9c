/** Backups on another machine, over a real SSH server: whole files only, and no host that nobody vouched for. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import type { Mk8sError } from '../../src/base/errors.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openTarget } from '../../src/runtime/backup/targets/open-target.ts'
import { type Fault, startFaultyRelay } from '../support/faulty-relay.ts'
import { Sshd, whyNoSshd } from '../support/sshd.ts'

const PARTS = { clock: systemClock, random: systemRandom }
const never = new AbortController().signal
const MIB = 1024 * 1024
/** Comes with Debian's rsync. */
const RRSYNC = '/usr/bin/rrsync'
const whyNoRrsync = existsSync(RRSYNC) ? false : `${RRSYNC} is not installed`

async function* of(...pieces: Buffer[]) {
  yield* pieces
}

async function rejection(work: Promise<unknown>): Promise<Mk8sError> {
  try {
    await work
  } catch (error) {
    return error as Mk8sError
  }
  throw new Error('it did not fail')
}

const collect = async (bytes: AsyncIterable<Uint8Array>): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(bytes))

/** Those of sessions that are over are gone. */
const privateDirectories = (): string[] => readdirSync(tmpdir()).filter(name => name.startsWith('mk8s-ssh-'))

describe('a directory behind SSH as a backup target', { skip: whyNoSshd() ?? false }, () => {
  const sshd = new Sshd()
  const place = mkdtempSync(join(tmpdir(), 'mk8s-ssh.target-'))
  const urlOf = (scheme: string, path: string, port = sshd.port) => {
    const url = new URL(`${scheme}://${sshd.user}@127.0.0.1:${port}${path}`)
    url.searchParams.append('host-key', sshd.hostKey)
    return url.href
  }
  const secret = (over: readonly (readonly [string, Buffer])[] = []) =>
    new Map([['ssh-private-key', sshd.privateKey] as const, ...over])
  const open = (scheme: string, path = place, port = sshd.port) =>
    openTarget(urlOf(scheme, path, port), secret(), PARTS)
  const fresh = (name: string): string => {
    const path = join(place, name)
    mkdirSync(path)
    return path
  }

  before(async () => await sshd.start())
  after(async () => {
    await sshd.stop()
    rmSync(place, { recursive: true })
  })

  for (const scheme of ['ssh', 'rsync']) {
    it(`takes files by ${scheme}, of mode 0600, and gives them back as they were`, async () => {
      const directory = fresh(`files.${scheme}`)
      const target = open(scheme, directory)
      await target.check(never)
      const bytes = Buffer.from(systemRandom.bytes(3 * MIB + 7))
      const put = await target.put('a.mk8s', of(bytes.subarray(0, MIB), bytes.subarray(MIB)), never)
      assert.deepEqual(put, { bytes: bytes.length })
      assert.equal(statSync(join(directory, 'a.mk8s')).mode & 0o777, 0o600)
      assert.ok(readFileSync(join(directory, 'a.mk8s')).equals(bytes))
      assert.ok((await collect(target.get('a.mk8s', never))).equals(bytes))
      const [file, ...others] = await target.list(never)
      assert.deepEqual([file?.name, file?.bytes, others], ['a.mk8s', bytes.length, []])
      assert.ok(Math.abs((file?.modifiedMs ?? 0) - Date.now()) < 60_000)
      await target.put('a.mk8s', of(Buffer.from('new')), never)
      await target.put('b.mk8s', of(), never)
      assert.equal((await collect(target.get('a.mk8s', never))).toString(), 'new')
      await target.remove('a.mk8s', never)
      await target.remove('a.mk8s', never)
      assert.deepEqual(readdirSync(directory), ['b.mk8s'])
      const error = await rejection(collect(target.get('a.mk8s', never)))
      assert.equal(error.code, 'config/unreadable')
      assert.deepEqual(privateDirectories(), [])
    })

    it(`says by ${scheme} that a directory is not there, and does not make it`, async () => {
      const target = open(scheme, join(place, 'not-mounted'))
      const written = await rejection(target.put('a.mk8s', of(Buffer.from('a')), never))
      const listed = await rejection(target.list(never))
      for (const { why } of [written, listed]) assert.match(why ?? '', /there is no directory .*not-mounted/)
      assert.ok(!readdirSync(place).includes('not-mounted'))
    })

    it(`gives no name to what is cut off on its way by ${scheme}, and leaves nothing behind`, async () => {
      const directory = fresh(`cut.${scheme}`)
      const faults: Fault[] = ['cut']
      const relay = await startFaultyRelay(sshd.port, () => faults.shift())
      try {
        const target = open(scheme, directory, relay.port)
        const error = await rejection(target.put('a.mk8s', of(Buffer.alloc(2 * MIB, 'x')), never))
        assert.equal(error.code, 'backup/target')
        faults.push('flip')
        const damaged = await rejection(target.put('a.mk8s', of(Buffer.alloc(2 * MIB, 'x')), never))
        assert.equal(damaged.code, 'backup/target')
        for (const { name } of await target.list(never)) {
          assert.match(name, /^a\.mk8s\..*\.part$/)
          await target.remove(name, never)
        }
        assert.deepEqual(readdirSync(directory), [])
      } finally {
        relay.stop()
      }
    })

    it(`tells a full disk by ${scheme}`, async () => {
      const directory = fresh(`full.${scheme}`)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory])
      try {
        const target = open(scheme, directory)
        const error = await rejection(target.put('a.mk8s', of(Buffer.alloc(4 * MIB)), never))
        assert.match(error.why ?? '', /the disk there is full/)
        assert.deepEqual(readdirSync(directory), [])
      } finally {
        execFileSync('umount', [directory])
      }
    })

    it(`talks by ${scheme} to no host whose key is another, and says whose key is refused`, async () => {
      const url = new URL(urlOf(scheme, place))
      url.search = ''
      const unknown = new Map([
        ...secret(),
        ['known-hosts', Buffer.from(`elsewhere ${sshd.hostKey}\n`)] as const,
      ])
      const stranger = await rejection(openTarget(url.href, unknown, PARTS).list(never))
      assert.match(stranger.why ?? '', /key of the host is not among those that are known/)
      const line = `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`
      const known = new Map([...secret(), ['known-hosts', Buffer.from(line)] as const])
      await openTarget(url.href, known, PARTS).list(never)
      const other = new Map([...known, ['ssh-private-key', sshd.strangersKey] as const])
      const refused = await rejection(openTarget(url.href, other, PARTS).list(never))
      assert.match(refused.why ?? '', /does not take the key of the Secret/)
      assert.deepEqual(privateDirectories(), [])
    })

    it(`says that the programs for ${scheme} are missing`, async () => {
      const before = process.env['PATH']
      process.env['PATH'] = place
      try {
        const error = await rejection(open(scheme).list(never))
        assert.equal(error.code, 'host/program-missing')
        assert.match(error.message, new RegExp(`^${scheme} cannot be started`))
      } finally {
        process.env['PATH'] = before
      }
    })
  }

  it('takes a path for what it is, whatever characters it has', async () => {
    const name = `it's $(touch x) "a" \`b\` & c;d\\e ü`
    const directory = fresh(name)
    const path = `${place}/${encodeURIComponent(name)}`
    const target = open('ssh', path)
    await target.put('a.mk8s', of(Buffer.from('a')), never)
    assert.deepEqual(readdirSync(directory), ['a.mk8s'])
    assert.deepEqual(
      (await target.list(never)).map(file => file.name),
      ['a.mk8s'],
    )
    assert.throws(() => open('rsync', path), { hint: /ssh:\/\// })
  })

  it('shows nothing of the key in the arguments of programs, and its files to nobody', async () => {
    const body = sshd.privateKey.toString().split('\n')[2] ?? ''
    async function* looking() {
      yield Buffer.alloc(MIB)
      for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
        assert.ok(!readProc(pid).includes(body))
      }
      const [directory = '', ...others] = privateDirectories()
      assert.deepEqual(others, [])
      assert.equal(statSync(join(tmpdir(), directory)).mode & 0o777, 0o700)
      for (const name of ['identity', 'known_hosts']) {
        assert.equal(statSync(join(tmpdir(), directory, name)).mode & 0o777, 0o600)
      }
      throw new Error('enough seen')
    }
    const directory = fresh('looking')
    const error = await rejection(open('ssh', directory).put('a.mk8s', looking(), never))
    assert.equal(error.message, 'enough seen')
    assert.deepEqual(readdirSync(directory), [])
    assert.deepEqual(privateDirectories(), [])
  })

  it('ends what runs when the signal fires', async () => {
    const directory = fresh('aborted')
    const stop = new AbortController()
    async function* endless() {
      for (let count = 0; ; count++) {
        if (count === 10) stop.abort(new Error('no longer wanted'))
        yield Buffer.alloc(MIB)
      }
    }
    const error = await rejection(open('ssh', directory).put('a.mk8s', endless(), stop.signal))
    assert.equal(error.message, 'no longer wanted')
    assert.deepEqual(readdirSync(directory), [])
  })

  it('works by rsync with a key that rrsync keeps in one directory', { skip: whyNoRrsync }, async () => {
    const directory = fresh('restricted')
    sshd.authorize(key => `restrict,command="${RRSYNC} ${directory}" ${key}`)
    try {
      const target = open('rsync', '/~/')
      await target.check(never)
      await target.put('a.mk8s', of(Buffer.from('a')), never)
      assert.deepEqual(readdirSync(directory), ['a.mk8s'])
      const error = await rejection(open('ssh', '/~/').check(never))
      assert.equal(error.code, 'backup/target')
    } finally {
      sshd.authorize(key => key)
    }
  })
})

function readProc(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return ''
  }
}
