import assert from 'node:assert/strict'
import test from 'node:test'
import { linksFor, planKeptLaunch } from '../../../../../../src/runtime/kubelet/runtime/kept/kept-launch.ts'
import { containerOf } from '../../../../../contract/runtime/runtime-contract.ts'

const plan = (over: Parameters<typeof containerOf>[0], system: 'macos' | 'windows' = 'windows') =>
  planKeptLaunch({
    ...{ id: 'ab12', config: containerOf(over), directory: '/d', logPath: '/l', endpoint: '/e', system },
    environment: { SystemRoot: 'C:\\Windows', Path: 'C:\\w', SECRET: 'of the daemon' },
  })

test("a program gets its own environment and what its system needs, and nothing of the daemon's", () => {
  const { env, command } = plan({ command: ['a.exe'], args: ['b'], env: { A: 'b', PATH: 'C:\\mine' } })
  assert.deepEqual(command, ['a.exe', 'b'])
  assert.deepEqual(env, { PATH: 'C:\\mine', SystemRoot: 'C:\\Windows', A: 'b', MK8S_CONTAINER_ID: 'ab12' })
})

test('what the system cannot do is said in words', () => {
  assert.throws(() => plan({ tty: true }), /no terminals on Windows/)
  assert.throws(() => plan({ tty: true }, 'macos'), /no terminals on macOS/)
  assert.throws(() => plan({ security: { runAsUser: 5 } }), /asks for a user by number/)
  assert.equal(plan({ security: { runAsUser: 5 } }, 'macos').uid, 5)
})

test('volumes are links below the root, the outer ones first, also where the path names a drive', () => {
  const mount = (containerPath: string) => ({
    containerPath,
    hostPath: `/host${containerPath}`,
    readOnly: false,
  })
  const links = linksFor([mount('C:\\data\\inner'), mount('/data')], 'D:\\root', 'windows')
  assert.deepEqual(
    links.map(({ from }) => from),
    ['D:\\root\\data', 'D:\\root\\data\\inner'],
  )
  assert.equal(linksFor([mount('/data')], '/root', 'macos')[0]?.from, '/root/data')
})
