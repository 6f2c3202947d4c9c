/** A directory as a target: whole files only, nothing created, nothing left. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { systemClock } from '../../../../../src/base/clock.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import { openTarget } from '../../../../../src/runtime/backup/targets/open-target.ts'

const PARTS = { clock: systemClock, random: systemRandom }
const never = new AbortController().signal
const place = mkdtempSync(join(tmpdir(), 'mk8s-target-'))
after(() => rmSync(place, { recursive: true }))

async function* of(...pieces: string[]) {
  for (const piece of pieces) yield Buffer.from(piece)
}

const open = (to: string) => openTarget(to, new Map(), PARTS)

describe('a directory as a backup target', () => {
  it('holds, lists, gives back and removes files of mode 0600', async () => {
    const target = open(place)
    assert.deepEqual(await target.put('a.mk8s', of('one', 'two'), never), { bytes: 6 })
    assert.equal(statSync(join(place, 'a.mk8s')).mode & 0o777, 0o600)
    const [file] = await target.list(never)
    assert.deepEqual([file?.name, file?.bytes], ['a.mk8s', 6])
    const read: Uint8Array[] = []
    for await (const piece of target.get('a.mk8s', never)) read.push(piece)
    assert.equal(Buffer.concat(read).toString(), 'onetwo')
    await target.put('a.mk8s', of('three'), never)
    assert.equal(readFileSync(join(place, 'a.mk8s'), 'utf8'), 'three')
    await target.remove('a.mk8s', never)
    await target.remove('a.mk8s', never)
    assert.deepEqual(readdirSync(place), [])
  })

  it('is the same by its path and by a URL, whatever characters it has', async () => {
    const odd = join(place, 'a b%20?#ü')
    await assert.rejects(open(odd).check(never), { why: /no such directory/ })
    mkdirSync(odd)
    await open(odd).check(never)
    await open(pathToFileURL(odd).href).check(never)
    assert.equal(open(pathToFileURL(odd).href).url, odd)
    rmSync(odd, { recursive: true })
  })

  it('leaves nothing of a put that fails or is aborted', async () => {
    async function* failing() {
      yield Buffer.from('some')
      throw new Error('the source broke')
    }
    await assert.rejects(open(place).put('b.mk8s', failing(), never))
    const aborter = new AbortController()
    async function* slow() {
      yield Buffer.from('some')
      aborter.abort(new Error('no longer the leader'))
      yield Buffer.from('more')
    }
    await assert.rejects(open(place).put('b.mk8s', slow(), aborter.signal), /no longer the leader/)
    assert.deepEqual(readdirSync(place), [])
  })

  it('is not made when it is not there, nor taken out of a file', async () => {
    await assert.rejects(open(join(place, 'none')).put('c', of(''), never), {
      code: 'host/disk',
      why: /no such directory/,
      hint: /mkdir -p/,
    })
    writeFileSync(join(place, 'file'), '')
    await assert.rejects(open(join(place, 'file')).check(never), { why: /not a directory/ })
    await assert.rejects(open(join(place, 'file')).list(never))
    rmSync(join(place, 'file'))
  })

  it('takes no names that lead elsewhere', async () => {
    for (const name of ['../x', 'a/b', '', '.hidden', 'a\0b'])
      await assert.rejects(open(place).put(name, of(''), never), { code: 'config/invalid' })
  })
})

describe('the URL of a target', () => {
  it('is refused with a reason when it can be none', () => {
    for (const [to, why] of [
      ['backups', /neither an absolute path nor a URL/],
      ['gopher://x/y', /no kind of target/],
      ['file:///', /root directory/],
      ['/', /root directory/],
      ['file://otherhost/x', /host/],
      ['ssh://me:secret@host/x', /password/],
    ] as const)
      assert.throws(
        () => open(to),
        error => {
          assert.match((error as { why: string }).why, why)
          assert.doesNotMatch((error as Error).message, /secret/)
          return true
        },
      )
  })
})
