/** Which users pods with user namespaces have, and that two pods never have the same. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { hasUserNamespaces } from '../../../../src/runtime/kubelet/runtime/oci/user-namespace.ts'
import { firstFree, parseSubordinates, UserRanges } from '../../../../src/runtime/kubelet/user-ranges.ts'

const LENGTH = 65_536
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mk8s-users-'))
})
afterEach(() => rmSync(directory, { recursive: true }))
const open = (users = '', groups = users) =>
  new UserRanges({ directory, subordinates: async () => ({ users, groups }) })

test('pods that ask at once get different users, and keep them over a restart of the kubelet', async () => {
  const first = open()
  const [a, b] = await Promise.all([first.rangeOf('a'), first.rangeOf('b')])
  assert.deepEqual(
    [a, b].map(({ first: each }) => each),
    [LENGTH, 2 * LENGTH],
  )
  const later = open()
  assert.equal((await later.rangeOf('c')).first, 3 * LENGTH)
  assert.deepEqual(await later.rangeOf('b'), b)
  assert.deepEqual(JSON.parse(readFileSync(join(directory, 'a/userns'), 'utf8')).uidMappings, [
    { hostId: LENGTH, containerId: 0, length: LENGTH },
  ])
})

test('users of a pod that is gone are given to another one', async () => {
  const ranges = open()
  await ranges.rangeOf('a')
  await ranges.rangeOf('b')
  rmSync(join(directory, 'a'), { recursive: true })
  ranges.forget('a')
  assert.equal((await ranges.rangeOf('c')).first, LENGTH)
  assert.equal((await open().rangeOf('d')).first, 3 * LENGTH)
})

test('users that could not be written down are not the pod’s, and are written down at the next try', async () => {
  const ranges = open()
  writeFileSync(join(directory, 'a'), 'in the way')
  await assert.rejects(ranges.rangeOf('a'))
  assert.equal((await ranges.rangeOf('b')).first, LENGTH)
  rmSync(join(directory, 'a'))
  assert.equal((await ranges.rangeOf('a')).first, 2 * LENGTH)
  assert.ok(existsSync(join(directory, 'a/userns')))
})

test('what was set aside for the kubelet is used, and it may run out', async () => {
  const ranges = open(`me:100000:65536\nkubelet:${10 * LENGTH}:${2 * LENGTH}\n`)
  assert.equal((await ranges.rangeOf('a')).first, 10 * LENGTH)
  await ranges.rangeOf('b')
  await assert.rejects(ranges.rangeOf('c'), /could not find an empty slot to allocate a user namespace/)
})

test('ranges that are no multiples, or differ between users and groups, are refused', () => {
  assert.equal(parseSubordinates('me:100000:65536', ''), undefined)
  assert.throws(() => parseSubordinates('kubelet:100000:65536', 'kubelet:100000:65536'), /multiple of 65536/)
  assert.throws(() => parseSubordinates('kubelet:65536:65536', 'kubelet:131072:65536'), /subgid is another/)
  assert.deepEqual(firstFree({ first: LENGTH, count: LENGTH }, []), { first: LENGTH, count: LENGTH })
})

test('kernels that cannot mount memory with other users have no user namespaces for pods', () => {
  const has = (release: string, namespacesMax = '100') => hasUserNamespaces({ release, namespacesMax })
  assert.deepEqual(
    [
      has('6.3.0-1-amd64'),
      has('6.18.44'),
      has('7.0.1'),
      has('6.1.0-17-amd64'),
      has('6.18.0', '0'),
      has('6.18.0', ''),
    ],
    [true, true, true, false, false, false],
  )
})
