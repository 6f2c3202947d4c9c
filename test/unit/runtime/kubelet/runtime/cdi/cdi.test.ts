/** CDI: which specifications are good, which device counts, and what its edits make of a container. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { must } from '../../../../../../src/base/assert.ts'
import { Mk8sError } from '../../../../../../src/base/errors.ts'
import { applyEdits, fillNode } from '../../../../../../src/runtime/kubelet/runtime/cdi/apply-edits.ts'
import {
  annotateDevices,
  annotatedDevices,
} from '../../../../../../src/runtime/kubelet/runtime/cdi/cdi-names.ts'
import { parseCdiSpec } from '../../../../../../src/runtime/kubelet/runtime/cdi/cdi-spec.ts'
import { readEdits } from '../../../../../../src/runtime/kubelet/runtime/cdi/read-cdi.ts'
import { resolveDevices } from '../../../../../../src/runtime/kubelet/runtime/cdi/resolve-devices.ts'

const device = (name: string, edits: object = { env: ['A=1'] }) => ({ name, containerEdits: edits })
const specOf = (over: object = {}) => ({
  ...{ cdiVersion: '0.8.0', kind: 'example.com/gpu', devices: [device('a')] },
  ...over,
})

test('a good specification is taken, and each flaw is named', () => {
  assert.equal(parseCdiSpec(specOf()).kind, 'example.com/gpu')
  const edits = (containerEdits: object) => specOf({ containerEdits })
  const flaws: readonly (readonly [object, RegExp])[] = [
    [specOf({ cdiVersion: '9.0.0' }), /cdiVersion "9.0.0" is not known/],
    [specOf({ cdiVersion: undefined }), /cdiVersion is missing/],
    [specOf({ kind: 'gpu' }), /invalid CDI device name "gpu=a"/],
    [specOf({ devices: [] }), /no devices/],
    [specOf({ devices: [device('a'), device('a')] }), /two devices "a"/],
    [specOf({ devices: [device('-a')] }), /invalid CDI device name/],
    [specOf({ devices: [device('a', {})] }), /edits nothing/],
    [specOf({ devicez: [] }), /devicez is an unknown field/],
    [edits({ env: ['A'] }), /containerEdits.env\[0\] "A" is no NAME=VALUE/],
    [edits({ deviceNodes: [{ path: '' }] }), /deviceNodes\[0\].path is missing/],
    [edits({ deviceNodes: [{ path: '/a', permissions: 'x' }] }), /permissions "x"/],
    [edits({ deviceNodes: [{ path: '/a', type: 'd' }] }), /type "d"/],
    [edits({ mounts: [{ hostPath: '/a' }] }), /mounts\[0\].containerPath is missing/],
    [edits({ hooks: [{ hookName: 'before', path: '/a' }] }), /hookName "before" is no name of a hook/],
    [edits({ intelRdt: { closID: '..' } }), /closID "\.\."/],
    [edits({ additionalGids: [-1] }), /additionalGids\[0\] is out of range/],
  ]
  for (const [value, why] of flaws) assert.throws(() => parseCdiSpec(value), why)
})

test('what a later version brought is refused in a file of an earlier one', () => {
  const needs: readonly (readonly [string, object])[] = [
    ['0.4.0', { containerEdits: { mounts: [{ hostPath: '/a', containerPath: '/b', type: 'bind' }] } }],
    ['0.5.0', { devices: [device('0')] }],
    ['0.5.0', { containerEdits: { deviceNodes: [{ path: '/a', hostPath: '/b' }] } }],
    ['0.6.0', { annotations: { a: 'b' } }],
    ['0.6.0', { kind: 'example.com/gpu.x' }],
    ['0.7.0', { containerEdits: { additionalGids: [5] } }],
    ['1.1.0', { containerEdits: { netDevices: [{ hostInterfaceName: 'a', name: 'b' }] } }],
  ]
  for (const [version, over] of needs) {
    assert.ok(parseCdiSpec(specOf({ ...over, cdiVersion: version })))
    const before = { ...over, cdiVersion: version === '1.1.0' ? '1.0.0' : '0.3.0' }
    assert.throws(() => parseCdiSpec(specOf(before)), new RegExp(`at least ${version}`))
  }
})

test('the later directory counts first, two files of one directory conflict, a file edits once', () => {
  const fileOf = (path: string, priority: number, env: string, over: object = {}) => ({
    ...{ path, priority },
    spec: parseCdiSpec(specOf({ devices: [device('a', { env: [env] }), device('b')], ...over })),
  })
  const early = fileOf('/etc/cdi/x.json', 0, 'A=early')
  const late = fileOf('/run/cdi/x.json', 1, 'A=late', { containerEdits: { env: ['ALL=1'] } })
  const resolve = (ids: string[], files = [early, late]) =>
    resolveDevices(ids, { files, problems: ['bad file'] })
  const ids = ['example.com/gpu=a', 'example.com/gpu=b', 'example.com/gpu=a']
  assert.deepEqual(
    resolve(ids).map(({ env }) => env),
    [['ALL=1'], ['A=late'], ['A=1']],
  )
  const told = (work: () => unknown) => {
    try {
      work()
    } catch (error) {
      assert.ok(error instanceof Mk8sError)
      return `${error.message} | ${error.why}`
    }
    return ''
  }
  const missing = told(() => resolve(['example.com/gpu=z', 'other.com/x=y']))
  assert.equal(missing, 'unresolvable CDI devices example.com/gpu=z, other.com/x=y | bad file')
  const twin = { ...early, path: '/etc/cdi/y.json' }
  const conflict = told(() => resolve(['example.com/gpu=a'], [early, twin]))
  assert.match(conflict, /is in two files: \/etc\/cdi\/x.json, \/etc\/cdi\/y.json/)
})

test('edits are read from JSON and YAML of the machine, and its device files say what they are', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-cdi-'))
  const yaml = `cdiVersion: "0.6.0"
kind: vendor.com/net
devices:
- name: eth0
  containerEdits:
    deviceNodes:
    - path: /dev/inside
      hostPath: /dev/null
`
  try {
    for (const name of ['etc', 'run']) mkdirSync(join(directory, name))
    writeFileSync(join(directory, 'etc/net.yaml'), yaml)
    writeFileSync(join(directory, 'etc/ignored.txt'), yaml)
    const broken = specOf({ devices: [device('a', { deviceNodes: [{ path: '/dev/not-there' }] })] })
    writeFileSync(join(directory, 'run/gpu.json'), JSON.stringify(broken))
    writeFileSync(join(directory, 'run/bad.json'), '{')
    const directories = ['etc', 'run', 'absent'].map(name => join(directory, name))
    const { nodes } = await readEdits(['vendor.com/net=eth0'], directories)
    assert.deepEqual(nodes, [{ path: '/dev/inside', hostPath: '/dev/null', type: 'c', major: 1, minor: 3 }])
    await assert.rejects(readEdits(['example.com/gpu=a'], directories), /\/dev\/not-there cannot be used/)
    await assert.rejects(readEdits(['example.com/gpu=q'], directories), { why: /bad\.json/ })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test('a node that says everything is not looked at, one of another type is refused', async () => {
  const never = () => Promise.reject(new Error('looked'))
  const whole = await fillNode({ path: '/a', type: 'c', major: 195, minor: 0 }, never)
  assert.deepEqual([whole.major, whole.minor], [195, 0])
  const block = async () => ({ type: 'b', major: 8, minor: 1 })
  await assert.rejects(fillNode({ path: '/a', type: 'c' }, block), /of type b and not c/)
})

test('edits join what the container has, later ones in the place of earlier ones', () => {
  const bind = (destination: string) => ({ destination, source: '/s', type: 'bind', options: [] })
  const spec = {
    process: { user: { uid: 7, gid: 0, additionalGids: [3] }, env: ['PATH=/bin', 'A=own'], args: ['x'] },
    mounts: [bind('/a/b/c'), bind('/proc')],
    linux: { resources: { devices: [{ allow: false, access: 'rwm' }], cpu: 1 } },
  }
  const edits = [
    {
      env: ['A=1', 'B=2'],
      mounts: [{ hostPath: '/h', containerPath: '/a', options: ['ro', 'bind'] }],
      hooks: [{ hookName: 'createContainer' as const, path: '/hook', args: ['hook', 'x'] }],
      additionalGids: [0, 3, 4],
      intelRdt: { closID: 'one' },
    },
    { hooks: [{ hookName: 'createContainer' as const, path: '/second' }], intelRdt: { closID: 'two' } },
  ]
  const nodes = [
    { path: '/dev/x', type: 'c', major: 195, minor: 1 },
    { path: '/dev/y', type: 'c', major: 195, minor: 2, uid: 0, gid: 44, fileMode: 0o660, permissions: 'rw' },
    { path: '/dev/p', type: 'p', major: 0, minor: 0 },
  ]
  const made = applyEdits(spec, { edits, nodes })
  assert.deepEqual(made, {
    process: {
      user: { uid: 7, gid: 0, additionalGids: [3, 4] },
      env: ['PATH=/bin', 'A=1', 'B=2'],
      args: ['x'],
    },
    mounts: [
      bind('/proc'),
      { destination: '/a', source: '/h', type: 'bind', options: ['ro', 'bind'] },
      bind('/a/b/c'),
    ],
    linux: {
      devices: [
        { path: '/dev/x', type: 'c', major: 195, minor: 1, uid: 7 },
        { path: '/dev/y', type: 'c', major: 195, minor: 2, uid: 0, gid: 44, fileMode: 0o660 },
        { path: '/dev/p', type: 'p', major: 0, minor: 0, uid: 7 },
      ],
      resources: {
        cpu: 1,
        devices: [
          { allow: false, access: 'rwm' },
          { allow: true, type: 'c', major: 195, minor: 1, access: 'rwm' },
          { allow: true, type: 'c', major: 195, minor: 2, access: 'rw' },
        ],
      },
      intelRdt: { closID: 'two' },
    },
    hooks: { createContainer: [{ path: '/hook', args: ['hook', 'x'] }, { path: '/second' }] },
  })
})

test('a runtime without a field for them is told by an annotation that says the same', () => {
  const ids = ['example.com/gpu=a', 'example.com/gpu=b']
  const said = annotateDevices(ids)
  assert.match(must(Object.keys(said)[0], 'an annotation'), /^cdi\.k8s\.io\//)
  assert.deepEqual(annotatedDevices({ ...said, 'example.com/other': 'x' }), ids)
})
