/** Makes the dashboard's page out of `dashboard/`: bundled, with names that follow from contents, compressed. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

interface Made {
  readonly name: string
  readonly type: string
  readonly text: string
}

const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

async function bundled(root: string, entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'dashboard', entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: ['es2022', 'chrome123', 'firefox120', 'safari17.5'],
    legalComments: 'none',
    logLevel: 'error',
  })
  return outputFiles[0]?.text ?? ''
}

const stored = ({ type, text }: Made, isImmutable: boolean) => ({
  ...{ type, isImmutable, tag: sumOf(text) },
  brotli: brotliCompressSync(text).toString('base64'),
  gzip: gzipSync(text, { level: 9 }).toString('base64'),
})

/** Writes one file with all of them, by path on the server. */
export async function buildDashboard(root: string, output: string): Promise<void> {
  const read = (name: string) => readFileSync(join(root, 'dashboard', name), 'utf8')
  const [script, style] = await Promise.all([bundled(root, 'main.ts'), bundled(root, 'style.css')])
  const parts: Made[] = [
    { name: `/app-${sumOf(script)}.js`, type: 'text/javascript; charset=utf-8', text: script },
    { name: `/style-${sumOf(style)}.css`, type: 'text/css; charset=utf-8', text: style },
  ]
  const icon = { name: '/icon.svg', type: 'image/svg+xml', text: read('icon.svg') }
  const page = read('index.html')
    .replace('main.ts', parts[0]?.name ?? '')
    .replace('style.css', parts[1]?.name ?? '')
  const index = { name: '/index.html', type: 'text/html; charset=utf-8', text: page }
  const files = {
    ...Object.fromEntries(parts.map(made => [made.name, stored(made, true)])),
    ...Object.fromEntries([icon, index].map(made => [made.name, stored(made, false)])),
  }
  mkdirSync(dirname(output), { recursive: true })
  writeFileSync(output, `${JSON.stringify(files)}\n`)
}
