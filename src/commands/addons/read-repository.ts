/** Gets the files of a repository of add-ons: from a directory, an archive (a file or a URL), or with git. */
import { createReadStream, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { runProgram } from '../../host/programs.ts'
import type { RepositoryFiles } from '../../runtime/addons/repository-index.ts'

export interface FetchedRepository {
  readonly files: RepositoryFiles
  /** Of git. */
  readonly commit: string
}

const FILES_MAX = 5_000
const BYTES_MAX = 64 * 1024 * 1024
const FETCH_MS_MAX = 120_000

export async function fetchRepository(source: string, reference: string): Promise<FetchedRepository> {
  const isUrl = isRemote(source)
  try {
    if (/\.(tar\.gz|tgz)$/.test(source)) return { files: await readArchive(source, isUrl), commit: '' }
    if (isUrl) return await cloneRepository(source, reference)
    if (statSync(source).isDirectory()) return { files: readDirectory(source), commit: '' }
  } catch (error) {
    if (error instanceof Mk8sError) throw error
    throw new Mk8sError('config/unreadable', `cannot read the repository ${source}`, {
      why: messageOf(error),
      cause: error,
    })
  }
  throw new Mk8sError('config/invalid', `${source} is no repository`, {
    why: 'it is neither a directory nor a .tar.gz nor a URL',
  })
}

/** What is given as a path means the same tomorrow, from another directory. */
export const wholeSource = (source: string): string => (isRemote(source) ? source : resolve(source))

const isRemote = (source: string): boolean =>
  /^[a-z+]+:\/\//i.test(source) || /^[\w.-]+@[\w.-]+:/.test(source)

/** @throws Mk8sError when it is a path and nothing is there; what is elsewhere shows when it is read. */
export function assertSourceThere(source: string): void {
  if (isRemote(source) || existsSync(source)) return
  throw new Mk8sError('config/unreadable', `cannot read the repository ${source}`, {
    why: 'there is no such file or directory',
  })
}

export function readDirectory(directory: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  let bytes = 0
  const entries = globSync('**/*', { cwd: directory, withFileTypes: true }).filter(entry => entry.isFile())
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    const content = readFileSync(path)
    bytes += content.length
    files.set(path.slice(resolve(directory).length + 1), content)
    checkSize(files.size, bytes)
  }
  return files
}

function checkSize(count: number, bytes: number): void {
  if (count <= FILES_MAX && bytes <= BYTES_MAX) return
  throw new Mk8sError('config/invalid', 'the repository is too large', {
    why: `it may have ${FILES_MAX} files and ${BYTES_MAX} bytes`,
  })
}

/** Into memory; a directory that everything lies in is left out of the names. */
async function readArchive(source: string, isUrl: boolean): Promise<RepositoryFiles> {
  const files = new Map<string, Buffer>()
  let bytes = 0
  const parser = extract()
  const unpacked = (await openArchive(source, isUrl)).pipe(createGunzip())
  unpacked.on('error', error => parser.destroy(error))
  unpacked.pipe(parser)
  for await (const entry of parser) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) {
      bytes += (chunk as Buffer).length
      checkSize(files.size, bytes)
      chunks.push(chunk as Buffer)
    }
    const name = entry.header.name.replace(/^(\.?\/)+/, '')
    // As in directories, names that begin with a dot are none of it.
    if (entry.header.type === 'file' && !/(^|\/)\./.test(name)) files.set(name, Buffer.concat(chunks))
  }
  const tops = new Set([...files.keys()].map(name => name.split('/')[0]))
  const [top = ''] = tops
  if (files.has('index.yaml') || tops.size !== 1) return files
  return new Map([...files].map(([name, content]) => [name.slice(top.length + 1), content]))
}

async function openArchive(source: string, isUrl: boolean): Promise<Readable> {
  if (!isUrl) return createReadStream(source)
  const answer = await fetch(source, { signal: AbortSignal.timeout(FETCH_MS_MAX) })
  if (!answer.ok || answer.body === null) throw new Error(`${source} answers ${answer.status}`)
  return Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0])
}

async function cloneRepository(source: string, reference: string): Promise<FetchedRepository> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-repository-'))
  const git = (...args: string[]) =>
    runProgram('git', ['-c', 'protocol.ext.allow=never', ...args], {
      timeoutMs: FETCH_MS_MAX,
      cwd: directory,
      env: { GIT_TERMINAL_PROMPT: '0' },
    })
  try {
    await git('init', '--quiet')
    await git(
      'fetch',
      '--quiet',
      '--depth',
      '1',
      '--end-of-options',
      source,
      reference === '' ? 'HEAD' : reference,
    )
    await git('checkout', '--quiet', 'FETCH_HEAD')
    const { stdout } = await git('rev-parse', 'HEAD')
    return { files: readDirectory(directory), commit: stdout.trim() }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
