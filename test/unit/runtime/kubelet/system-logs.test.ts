import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { serveSystemLogs } from '../../../../src/runtime/kubelet/system-logs.ts'

test('files and directories of the log directory are shown, and nothing outside it', async context => {
  const root = await mkdtemp(join(tmpdir(), 'mk8s-logs-'))
  context.after(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'logs/apt'), { recursive: true })
  await writeFile(join(root, 'logs/sys<log'), 'one\ntwo\n')
  await writeFile(join(root, 'logs/empty'), '')
  await writeFile(join(root, 'secret'), 'secret')
  await symlink('../secret', join(root, 'logs/out'))
  await symlink('empty', join(root, 'logs/in'))
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').replace('/logs/', ''))
    void serveSystemLogs({ root: join(root, 'logs'), path }, request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  context.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://127.0.0.1:${port}/logs/${path}`, { method, redirect: 'manual' })
    return [answer.status, await answer.text()]
  }
  const names = ['apt/', 'empty', 'in', 'out']
  const links = names.map(name => `<a href="${name}">${name}</a>\n`).join('')
  const last = '<a href="sys%3Clog">sys&lt;log</a>\n'
  assert.deepEqual(await get(''), [200, `<!doctype html>\n<pre>\n${links}${last}</pre>\n`])
  assert.deepEqual(await get('sys%3Clog'), [200, 'one\ntwo\n'])
  assert.deepEqual(await get('in'), [200, ''])
  assert.deepEqual(await get('apt'), [301, ''])
  for (const path of ['out', '..%2Fsecret', 'none', '%00']) assert.equal((await get(path))[0], 404)
  assert.equal((await get('empty', 'DELETE'))[0], 405)
})
