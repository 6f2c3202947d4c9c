/** Layers of images on disk, with what is special about them, and what must not come out of one. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { type Header, pack } from 'tar-stream'
import { unpackLayer } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/unpack-layer.ts'

type Entry = Partial<Header> & { readonly name: string; readonly content?: string }

const isRoot = process.geteuid?.() === 0 && process.platform === 'linux'

describe('a layer', { skip: isRoot ? false : 'owners and device nodes need root on Linux' }, () => {
  let directory = ''
  const at = (path: string) => join(directory, 'layer', path)
  const unpack = async (entries: readonly Entry[], lower: readonly string[] = []) => {
    const archive = pack()
    for (const { content = '', ...header } of entries) archive.entry(header as Header, content)
    archive.finalize()
    await mkdir(join(directory, 'layer'), { recursive: true })
    return unpackLayer(archive as AsyncIterable<Uint8Array>, join(directory, 'layer'), lower)
  }
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mk8s-layer-'))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  test('keeps owners, modes, times, links and attributes', async () => {
    const mtime = new Date('2020-02-02T02:02:02Z')
    await unpack([
      { name: 'opt/', type: 'directory', mode: 0o1777, mtime },
      {
        name: 'opt/tool',
        mode: 0o4755,
        uid: 12,
        gid: 34,
        mtime,
        content: 'x',
        pax: { 'SCHILY.xattr.user.k': 'v' },
      },
      { name: 'opt/same', type: 'link', linkname: 'opt/tool' },
      { name: 'opt/absolute', type: 'symlink', linkname: '/etc/passwd' },
    ])
    const tool = await stat(at('opt/tool'))
    assert.deepEqual([tool.mode & 0o7777, tool.uid, tool.gid, tool.nlink], [0o4755, 12, 34, 2])
    assert.equal((await stat(at('opt'))).mode & 0o7777, 0o1777)
    assert.equal((await stat(at('opt'))).mtimeMs, mtime.getTime())
    assert.equal(await readlink(at('opt/absolute')), '/etc/passwd')
    const read = 'my $n = "user.k"; my $v = "-" x 9; syscall(191, $ARGV[0], $n, $v, 9); print $v'
    if (process.arch === 'x64') {
      assert.match(execFileSync('perl', ['-e', read, at('opt/tool')], { encoding: 'utf8' }), /^v/)
    }
  })

  test('marks what it takes away for overlay', async () => {
    await unpack([
      { name: 'etc/', type: 'directory' },
      { name: 'etc/.wh.gone' },
      { name: 'var/.wh..wh..opq' },
      { name: 'var/new', content: 'n' },
    ])
    const gone = await lstat(at('etc/gone'))
    assert.ok(gone.isCharacterDevice())
    assert.equal(gone.rdev, 0)
    const lower = join(directory, 'lower')
    const merged = join(directory, 'merged')
    for (const path of [`${lower}/etc`, `${lower}/var`, merged]) await mkdir(path, { recursive: true })
    execFileSync('sh', [
      '-c',
      `echo a >${lower}/etc/gone; echo b >${lower}/etc/kept; echo c >${lower}/var/old`,
    ])
    const layers = `lowerdir=${at('')}:${lower}`
    const shown = execFileSync(
      'unshare',
      ['-m', 'sh', '-c', `mount -t overlay overlay -o ${layers} ${merged} && ls ${merged}/etc ${merged}/var`],
      { encoding: 'utf8' },
    )
    assert.match(shown, /etc:\nkept\n/)
    assert.match(shown, /var:\nnew\n$/)
  })

  test('cannot write outside, neither by name nor through a link', async () => {
    await assert.rejects(unpack([{ name: '../outside', content: 'x' }]), {
      message: /leads out of the image/,
    })
    await unpack([
      { name: 'way', type: 'symlink', linkname: '../../..' },
      { name: 'way/inside', content: 'x' },
      { name: 'root', type: 'symlink', linkname: '/' },
      { name: 'root/also', content: 'y' },
    ])
    assert.equal(await readFile(at('inside'), 'utf8'), 'x')
    assert.equal(await readFile(at('also'), 'utf8'), 'y')
  })

  test('cannot write outside through a link that takes the place of a directory', async () => {
    const outside = join(directory, 'outside')
    await mkdir(outside)
    const swap: Entry[] = [
      { name: 'd/', type: 'directory' },
      { name: 'd/deep/', type: 'directory', mtime: new Date('2001-01-01') },
      { name: 'd/deep/pipe', type: 'fifo' },
      { name: 'd/deep/tool', content: 'x', pax: { 'SCHILY.xattr.user.k': 'v' } },
    ]
    for (const taken of ['d', 'd/deep']) {
      const links: Entry[] = [
        { name: taken, type: 'symlink', linkname: outside },
        { name: `${taken}/deep/file`, content: 'y' },
        { name: `${taken}/file`, content: 'y' },
      ]
      await unpack([...swap, ...links])
      await unpack([...swap, { name: `${taken.replace(/[^/]+$/, '')}.wh.${taken.slice(-4)}` }, ...links])
      assert.deepEqual(await readdir(outside), [])
      assert.ok((await stat(outside)).mtimeMs > Date.parse('2002-01-01'))
      await rm(at(''), { recursive: true })
    }
  })

  test('takes away nothing but what is named in it', async () => {
    await mkdir(join(directory, 'neighbour'))
    for (const name of ['.wh...', '.wh..', '.wh.', 'a/.wh...']) {
      await assert.rejects(unpack([{ name: 'kept', content: 'k' }, { name }]), { message: /has a name/ })
      assert.equal(await readFile(at('kept'), 'utf8'), 'k')
    }
    assert.ok((await stat(join(directory, 'neighbour'))).isDirectory())
  })

  test('links to a file of a lower layer, and refuses a link to nothing', async () => {
    await mkdir(join(directory, 'lower/bin'), { recursive: true })
    execFileSync('sh', ['-c', `echo tool >${directory}/lower/bin/tool`])
    await unpack([{ name: 'bin/alias', type: 'link', linkname: 'bin/tool' }], [join(directory, 'lower')])
    assert.equal(await readFile(at('bin/alias'), 'utf8'), 'tool\n')
    await assert.rejects(unpack([{ name: 'b', type: 'link', linkname: '/etc/passwd' }]), {
      message: /not there/,
    })
  })
})
