import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { systemClock } from '../../../../src/base/clock.ts'
import { type LogOptions, readLog } from '../../../../src/runtime/kubelet/log-reader.ts'
import { ContainerLogWriter } from '../../../../src/runtime/kubelet/runtime/container-log.ts'

const ALL: LogOptions = {
  follow: false,
  tailLines: undefined,
  sinceMs: undefined,
  timestamps: false,
  limitBytes: undefined,
}

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-logs-'))
  try {
    await body(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function read(path: string, options: Partial<LogOptions> = {}): Promise<string> {
  const source = { path, ended: Promise.resolve(), signal: new AbortController().signal }
  const chunks: Buffer[] = []
  for await (const chunk of readLog(source, { ...ALL, ...options })) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const line = (second: number, text: string, tag = 'F') =>
  `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z stdout ${tag} ${text}\n`

test('tail, since, timestamps and limit are obeyed', () =>
  withDirectory(async directory => {
    const path = join(directory, '0.log')
    await writeFile(path, line(1, 'one') + line(2, 'two') + line(3, 'three'))
    assert.equal(await read(path), 'one\ntwo\nthree\n')
    assert.equal(await read(path, { tailLines: 2 }), 'two\nthree\n')
    assert.equal(await read(path, { tailLines: 0 }), '')
    assert.equal(await read(path, { tailLines: 99 }), 'one\ntwo\nthree\n')
    assert.equal(await read(path, { sinceMs: Date.parse('2026-01-01T00:00:03Z') }), 'three\n')
    assert.equal(await read(path, { limitBytes: 5 }), 'one\nt')
    const stamped = await read(path, { timestamps: true, tailLines: 1 })
    assert.equal(stamped, '2026-01-01T00:00:03.000000000Z three\n')
  }))

test('parts of a long line are joined again', () =>
  withDirectory(async directory => {
    const path = join(directory, '0.log')
    const writer = new ContainerLogWriter(path, systemClock)
    await writer.open()
    const long = 'x'.repeat(40_000)
    await writer.write('stdout', Buffer.from(`${long}\nshort`))
    await writer.close()
    assert.equal(await read(path), `${long}\nshort\n`)
  }))

test('a followed log goes on over a rotation and ends with its container', () =>
  withDirectory(async directory => {
    const path = join(directory, '0.log')
    await writeFile(path, line(1, 'one'))
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const source = { path, ended, signal: new AbortController().signal }
    const log = readLog(source, { ...ALL, follow: true })
    const next = async () => String((await log.next()).value)
    assert.equal(await next(), 'one\n')
    const second = next()
    await appendFile(path, line(2, 'two'))
    assert.equal(await second, 'two\n')
    const third = next()
    await rename(path, `${path}.old`)
    await writeFile(path, line(3, 'three'))
    assert.equal(await third, 'three\n')
    end()
    assert.equal((await log.next()).done, true)
  }))

test('a reader that lags over several rotations reads every line once, compressed ones too', () =>
  withDirectory(async directory => {
    const path = join(directory, '0.log')
    await writeFile(path, line(1, 'one'))
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const source = { path, ended, signal: new AbortController().signal }
    const log = readLog(source, { ...ALL, follow: true })
    const next = async () => String((await log.next()).value)
    assert.equal(await next(), 'one\n')
    await appendFile(path, line(2, 'two'))
    const old = new Date('2026-01-01T00:00:02Z')
    await utimes(path, old, old)
    // The reader holds the first file; meanwhile there are two more, and the first is compressed.
    await rename(path, `${path}.20260101-000002`)
    await writeFile(`${path}.20260101-000002.gz`, gzipSync(await readFile(`${path}.20260101-000002`)))
    await rm(`${path}.20260101-000002`)
    await writeFile(`${path}.20260101-000003.gz`, gzipSync(line(3, 'three')))
    await writeFile(`${path}.20260101-000004`, line(4, 'four'))
    await writeFile(path, line(5, 'five'))
    for (const word of ['two', 'three', 'four', 'five']) assert.equal(await next(), `${word}\n`)
    end()
    assert.equal((await log.next()).done, true)
  }))
