/** What differs between operating systems is decided without being on them. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { daemonEnvironment } from '../../../src/host/daemon-environment.ts'
import { decideManager, saysRunning } from '../../../src/host/service-manager.ts'
import {
  asAdministrator,
  defaultDataDir,
  endpointPath,
  runtimeDirectory,
  systemOf,
} from '../../../src/host/system.ts'

test('each system has its own place for a node, and its own name for a local endpoint', () => {
  assert.deepEqual(['linux', 'darwin', 'win32', 'aix'].map(systemOf), ['linux', 'macos', 'windows', 'other'])
  assert.equal(defaultDataDir('linux', {}), '/var/lib/mk8s')
  assert.equal(defaultDataDir('macos', {}), '/usr/local/var/mk8s')
  assert.equal(defaultDataDir('windows', { ProgramData: 'D:\\Data' }), 'D:\\Data\\mk8s')
  const parts = { run: '/d/run', instance: 'mk8s-d-12', name: 'mk8s' }
  assert.equal(endpointPath('macos', parts), '/d/run/mk8s.sock')
  assert.equal(endpointPath('windows', parts), '\\\\.\\pipe\\mk8s-d-12-mk8s')
  assert.equal(runtimeDirectory('windows', { TEMP: 'C:\\t' }), 'C:\\t')
  assert.equal(asAdministrator('macos', 'mk8s stop'), 'sudo mk8s stop')
  assert.match(asAdministrator('windows', 'mk8s stop'), /as administrator: mk8s stop/)
})

test('the daemon is kept running by what the system has for it', () => {
  const nothing = { hasSystemd: false, hasTaskScheduler: false }
  assert.equal(decideManager({ ...nothing, system: 'linux' }), 'background')
  assert.equal(decideManager({ ...nothing, system: 'linux', hasSystemd: true }), 'systemd')
  assert.equal(decideManager({ ...nothing, system: 'macos' }), 'launchd')
  assert.equal(decideManager({ ...nothing, system: 'windows', hasTaskScheduler: true }), 'task')
  assert.equal(decideManager({ ...nothing, system: 'windows' }), 'background')
})

test('whether a service of Windows runs is understood in other languages too', () => {
  const answer = (words: string) =>
    `\r\nSERVICE_NAME: Schedule\r\n        ${words}\r\n        CHECKPOINT : 0x0\r\n`
  assert.ok(saysRunning(answer('STATE              : 4  RUNNING ')))
  assert.ok(saysRunning(answer('STATUS             : 4  RUNNING ')))
  assert.ok(!saysRunning(answer('STATE              : 1  STOPPED')))
  assert.ok(!saysRunning(''))
})

test('a daemon gets what its system cannot do without, and nothing of the shell that started it', () => {
  const shell = { PATH: '/bin', SECRET: 'x', SystemRoot: 'C:\\Windows', TZ: 'UTC' }
  assert.deepEqual(daemonEnvironment('linux', shell), {
    PATH: '/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    TZ: 'UTC',
  })
  assert.equal(daemonEnvironment('macos', shell)['HOME'], '/var/root')
  assert.deepEqual(daemonEnvironment('windows', { ...shell, PATH: undefined, Path: 'C:\\w' }), {
    PATH: 'C:\\w',
    SystemRoot: 'C:\\Windows',
    TZ: 'UTC',
  })
})
