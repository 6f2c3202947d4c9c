import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { renderTar } from '../../../../src/base/tar.ts'
import { renderOciArchive } from '../../../../src/runtime/images/oci-archive.ts'
import { pauseImage, pauseProgram } from '../../../../src/runtime/images/pause-image.ts'
import { until } from '../../../support/until.ts'

function withDirectory<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-images-'))
  try {
    return work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

test('tar reads what was written', () =>
  withDirectory(directory => {
    const archive = renderTar([
      { type: 'directory', name: 'bin', mode: 0o755 },
      { type: 'file', name: 'bin/a', mode: 0o755, content: Buffer.from('x'.repeat(513)) },
      { type: 'link', name: 'bin/b', target: 'bin/a' },
      { type: 'symlink', name: 'c', target: 'bin/a' },
    ])
    writeFileSync(join(directory, 'x.tar'), archive)
    execFileSync('tar', ['xf', 'x.tar'], { cwd: directory })
    assert.equal(readFileSync(join(directory, 'bin/b'), 'utf8').length, 513)
    assert.equal(readFileSync(join(directory, 'c'), 'utf8').length, 513)
    const long = { type: 'file', name: 'n'.repeat(101), mode: 0o644, content: Buffer.alloc(0) } as const
    assert.throws(() => renderTar([long]), /too long/)
  }))

test('an archive names its image, and every blob is what its name says', () =>
  withDirectory(directory => {
    const archive = renderOciArchive({
      name: 'localhost/a:1',
      architecture: 'amd64',
      files: [],
      command: ['sh'],
    })
    writeFileSync(join(directory, 'x.tar'), archive)
    execFileSync('tar', ['xf', 'x.tar'], { cwd: directory })
    const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8'))
    assert.equal(index.manifests[0].annotations['io.containerd.image.name'], 'localhost/a:1')
    const sums = execFileSync('sh', ['-c', 'cd blobs/sha256 && sha256sum *'], { cwd: directory }).toString()
    for (const line of sums.trim().split('\n')) {
      const [sum, name] = line.split(/\s+/)
      assert.equal(sum, name)
    }
  }))

test('the same image is the same bytes', () => {
  assert.deepEqual(pauseImage('amd64'), pauseImage('amd64'))
})

test('the pause program of both architectures is a small static executable', () => {
  for (const [architecture, machine] of [
    ['amd64', 62],
    ['arm64', 183],
  ] as const) {
    const program = pauseProgram(architecture)
    assert.ok(program.length < 400)
    assert.equal(program.readUInt32BE(0), 0x7f454c46)
    assert.equal(program.readUInt16LE(18), machine)
  }
})

test('on arm64 the wait for a signal is begun again after a signal of another sort', () => {
  const program = pauseProgram('arm64')
  const words = Array.from({ length: (program.length - 120) / 4 }, (_, at) =>
    program.readUInt32LE(120 + at * 4),
  )
  const compare = words.indexOf(0xf100001f)
  const branch = words[compare + 1] ?? 0
  // b.le, and its distance in words: back to where the number of rt_sigtimedwait is loaded.
  assert.equal(branch & 0xff00001f, 0x5400000d)
  const distance = ((branch >>> 5) & 0x7ffff) - 0x80000
  assert.equal(words[compare + 1 + distance], 0xd2800000 + 137 * 32 + 8)
})

const skip =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'the program is for another machine'

test('the pause program waits, and ends with 0 on SIGTERM and SIGINT', { skip }, async context => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-pause-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'pause')
  writeFileSync(path, pauseProgram('amd64'), { mode: 0o755 })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const child = spawn(path)
    const waits = () =>
      /^State:\s*S[\s\S]*^SigIgn:\s*0*10000$/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8'))
    try {
      await until('it waits', waits)
      child.kill(signal)
      const [code] = await once(child, 'exit')
      assert.equal(code, 0)
    } finally {
      child.kill('SIGKILL')
    }
  }
})
