/** Which logins an image is pulled with, of those that a pod's secrets name by place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loginsFor } from '../../../../../../src/runtime/kubelet/runtime/cri/credentials-for.ts'

const logins = (servers: readonly string[], image: string) =>
  loginsFor(
    image,
    servers.map(server => ({ server, username: server, password: 'x' })),
  ).map(({ server }) => server)

test('logins fit by host, path and patterns, and the longer place comes first', () => {
  const servers = [
    'r.example:5000',
    'https://r.example:5000/team',
    'r.example',
    'r.example:5000/other',
    'r.example:5000/team/web',
  ]
  assert.deepEqual(logins(servers, 'r.example:5000/team/web:1'), [servers[4], servers[1], servers[0]])
  assert.deepEqual(logins(servers, 'r.example:5000/one@sha256:abc'), [servers[0]])
  const patterns = ['*.example.com', '*.com', 'a?.example.com', '*.example.com:5000']
  assert.deepEqual(logins(patterns, 'ab.example.com/x'), ['a?.example.com', '*.example.com'])
  assert.deepEqual(logins(patterns, 'a.b.example.com/x'), [])
})

test('the registry without a name has the names that docker writes', () => {
  const servers = ['https://index.docker.io/v1/', 'docker.io', 'registry-1.docker.io', 'docker.io/team']
  assert.deepEqual(logins(servers, 'busybox'), servers.slice(0, 3))
  assert.deepEqual(logins(servers, 'team/web'), ['docker.io/team', ...servers.slice(0, 3)])
})
