/** `/logs/` of the kubelet's port: the files of the machine's log directory, and lists of its directories. */
import { createReadStream } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** Names of one directory that are shown. */
const NAMES_MAX = 10_000

/** `path` is what stands behind `/logs/`, decoded. Links that lead out of the directory lead nowhere. */
export async function serveSystemLogs(
  { root, path }: { readonly root: string; readonly path: string },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET') return end(response, 405, 'Method Not Allowed')
  const found = await findInside(root, path)
  if (found === null) return end(response, 404, '404 page not found')
  if (!found.isDirectory) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
    // What is written meanwhile is for the next one who asks.
    const stream = createReadStream(found.path, { end: Math.max(found.size - 1, 0) })
    return found.size === 0 ? void response.end() : pipeline(stream, response)
  }
  if (path !== '' && !path.endsWith('/')) {
    response.setHeader('location', `${path.split('/').at(-1)}/`)
    return end(response, 301, '')
  }
  response.setHeader('content-type', 'text/html; charset=utf-8')
  end(response, 200, await listing(found.path))
}

async function findInside(root: string, path: string) {
  try {
    const top = await realpath(root)
    const real = await realpath(join(top, path))
    if (real !== top && !real.startsWith(`${top}${sep}`)) return null
    const status = await stat(real)
    const isDirectory = status.isDirectory()
    return isDirectory || status.isFile() ? { path: real, isDirectory, size: status.size } : null
  } catch {
    return null
  }
}

async function listing(directory: string): Promise<string> {
  const entries = (await readdir(directory, { withFileTypes: true })).slice(0, NAMES_MAX)
  const names = entries.map(entry => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort()
  const lines = names.map(name => `<a href="${encodeURI(name)}">${escapeHtml(name)}</a>\n`)
  return `<!doctype html>\n<pre>\n${lines.join('')}</pre>\n`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;' }
const escapeHtml = (text: string): string => text.replaceAll(/[&<>"]/g, each => ENTITIES[each] ?? each)

function end(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status)
  response.end(body)
}
