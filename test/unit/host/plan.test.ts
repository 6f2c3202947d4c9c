import assert from 'node:assert/strict'
import test from 'node:test'
import { describeStep, type InstallPresent, type InstallWanted, planInstall } from '../../../src/host/plan.ts'

const wanted: InstallWanted = {
  dataDir: '/d',
  runDirectory: '/d/run',
  pkiDirectory: '/d/pki',
  kubeconfig: '/d/admin.kubeconfig',
  files: [
    { path: '/d/run/supervise.sh', mode: 0o700, content: 'new', purpose: 'the script', keep: false },
    { path: '/d/config.yaml', mode: 0o600, content: 'a', purpose: 'the configuration', keep: true },
  ],
  manager: 'background',
  readyTimeoutMs: 1000,
}
const nothing: InstallPresent = { directoryModes: new Map(), files: new Map(), serviceActive: false }
const everything: InstallPresent = {
  directoryModes: new Map([
    ['/d', 0o700],
    ['/d/run', 0o700],
  ]),
  files: new Map([
    ['/d/run/supervise.sh', 'new'],
    ['/d/config.yaml', 'other'],
  ]),
  serviceActive: true,
}
const kinds = (present: InstallPresent, over: Partial<InstallWanted> = {}) =>
  planInstall({ ...wanted, ...over }, present).map(step => step.kind)

test('a fresh install makes everything, keys before the configuration, and starts last', () => {
  const all = ['directory', 'directory', 'keys', 'kubeconfig', 'file', 'file', 'start', 'ready']
  assert.deepEqual(kinds(nothing), all)
})

test('a second install only looks, and keeps the recorded configuration', () => {
  assert.deepEqual(kinds(everything), ['keys', 'kubeconfig', 'restart', 'ready'])
})

test('what is missing or outdated is repaired', () => {
  const files = new Map([['/d/run/supervise.sh', 'old']])
  const steps = planInstall(wanted, { ...everything, files, serviceActive: false })
  assert.deepEqual(
    steps.map(step => ('path' in step ? step.path : step.kind)),
    ['keys', '/d/admin.kubeconfig', '/d/run/supervise.sh', '/d/config.yaml', 'start', 'ready'],
  )
})

test('a group that may use the socket may pass through the directories, no more', () => {
  const [first] = planInstall({ ...wanted, adminGroupId: 42 }, everything)
  assert.deepEqual(first, { kind: 'directory', path: '/d', mode: 0o710, groupId: 42 })
})

test('every step has its line', () => {
  for (const step of [nothing, everything].flatMap(present => planInstall(wanted, present)))
    assert.match(describeStep(step), /^[a-z].{10,}/)
})
