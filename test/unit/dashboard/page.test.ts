/** The dashboard's page as it is built: its types, its size, and that it needs nothing from anywhere else. */
import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { brotliDecompressSync } from 'node:zlib'
import { buildDashboard } from '../../../scripts/build-dashboard.ts'
import { temporaryDirectory } from '../../support/cluster.ts'
import { run } from '../../support/kubectl.ts'

const root = join(import.meta.dirname, '../../..')
const COMPRESSED_BYTES_MAX = 100_000

interface Built {
  readonly type: string
  readonly gzip: string
  readonly brotli: string
}

async function build(): Promise<Record<string, Built>> {
  const directory = temporaryDirectory()
  const output = join(directory, 'dashboard.json')
  await buildDashboard(root, output)
  const built = JSON.parse(readFileSync(output, 'utf8'))
  rmSync(directory, { recursive: true })
  return built
}

test('the page has at most 100 KB compressed, all of it together', async () => {
  const sizes = Object.values(await build()).map(({ gzip }) => Buffer.from(gzip, 'base64').length)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  assert.ok(sizes.length >= 4 && total > 5_000 && total <= COMPRESSED_BYTES_MAX, `${total} bytes`)
})

test('the page names no other server, has no script or style of its own in the HTML, and nothing is evaluated', async () => {
  const files = await build()
  const text = (path: string) =>
    brotliDecompressSync(Buffer.from(files[path]?.brotli ?? '', 'base64')).toString()
  const index = text('/index.html')
  assert.doesNotMatch(index, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/)
  for (const path of Object.keys(files)) {
    const hosts = [...text(path).matchAll(/\b(?:https?:)?\/\/([a-z0-9.-]+\.[a-z]{2,})/g)].map(
      ([, host]) => host,
    )
    assert.deepEqual(
      hosts.filter(host => host !== 'www.w3.org'),
      [],
      path,
    )
    assert.doesNotMatch(text(path), /\beval\(|new Function\(|@import|dangerouslySetInnerHTML=/, path)
  }
  const [script, style] = [/src="([^"]+)"/, /stylesheet" href="([^"]+)"/].map(
    name => name.exec(index)?.[1] ?? '',
  )
  assert.ok(files[script ?? ''] && files[style ?? ''], 'the page loads files that there are')
})

test('its sources have no errors of types', async () => {
  const { code, stdout } = await run(join(root, 'node_modules/.bin/tsc'), [
    '--noEmit',
    '-p',
    join(root, 'dashboard'),
  ])
  assert.equal(code, 0, stdout)
})
