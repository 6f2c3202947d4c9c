import assert from 'node:assert/strict'
import test from 'node:test'
import type { HostFacts } from '../../../src/host/facts.ts'
import { decideRuntime, preflight, preflightError } from '../../../src/host/preflight.ts'

const GIB = 1024 ** 3
const both = <T>(value: T) => ({ oci: value, containerd: value })

const good: HostFacts = {
  system: 'linux',
  kernel: '6.1.0-18-amd64',
  isRoot: true,
  memoryBytes: 2 * GIB,
  disk: { path: '/var/lib', freeBytes: 20 * GIB, freeInodes: 1_000_000, problem: '' },
  dataDirEntries: [],
  wallTimeMs: Date.UTC(2026, 5, 1),
  monotonicAdvances: true,
  ports: [{ name: 'api', address: '10.0.0.5', port: 16443, state: 'free' }],
  kernelFeatures: { overlay: true, namespaces: true, cgroups: true },
  containers: { missing: both<readonly string[]>([]), installable: both(false), obstacle: '' },
}
const wanted = {
  dataDir: '/var/lib/mk8s',
  bindAddress: '10.0.0.5',
  installed: false,
  runtime: 'process',
  hasCriSocket: false,
} as const
const errorFor = (over: Partial<HostFacts>, installed = false) =>
  preflightError(preflight({ ...good, ...over }, { ...wanted, installed }))

test('a good machine passes', () => {
  assert.equal(errorFor({}), undefined)
})

test('each thing that forbids to go on has its code and its words', () => {
  const taken = { name: 'api', address: '10.0.0.5', port: 16443 }
  const cases: [Partial<HostFacts>, string, RegExp][] = [
    [{ system: 'other' }, 'host/unsupported', /needs Linux/],
    [{ kernel: '4.4.0' }, 'host/unsupported', /kernel 4\.4\.0/],
    [{ isRoot: false }, 'host/not-root', /root/],
    [{ memoryBytes: 300 * 1024 ** 2 }, 'host/unsupported', /300 MiB/],
    [{ disk: { ...good.disk, problem: 'EROFS' } }, 'host/disk', /read-only/],
    [{ disk: { ...good.disk, freeBytes: 1000 } }, 'host/disk', /full/],
    [{ disk: { ...good.disk, freeInodes: 3 } }, 'host/disk', /3 inodes/],
    [{ dataDirEntries: ['photos'] }, 'refused', /photos/],
    [{ wallTimeMs: 0 }, 'host/unsupported', /year 1970/],
    [
      { ports: [{ ...taken, state: 'taken', holder: 'nginx (process 8)' }] },
      'host/port-taken',
      /nginx \(process 8\)/,
    ],
    [{ ports: [{ ...taken, state: 'no-such-address' }] }, 'config/invalid', /not an address of this machine/],
  ]
  for (const [over, code, words] of cases) {
    const error = errorFor(over)
    assert.equal(error?.code, code)
    assert.match(error?.message ?? '', words)
    assert.notEqual(error?.hint, '')
  }
})

test('on macOS and Windows it is said at once what a node cannot do there, and who has to install it', () => {
  for (const [system, words] of [
    ['macos', /on macOS, pods are programs/],
    ['windows', /on Windows, pods are programs/],
  ] as const) {
    const findings = preflight({ ...good, system, kernel: '10.0.19045' }, wanted)
    const spoken = findings.filter(({ level }) => level !== 'ok')
    assert.deepEqual(
      spoken.map(({ check, level }) => [check, level]),
      [['operating system', 'warning']],
    )
    assert.match(spoken[0]?.message ?? '', words)
  }
  assert.match(errorFor({ system: 'windows', isRoot: false })?.message ?? '', /an administrator/)
})

test('several problems are told at once', () => {
  const error = errorFor({ isRoot: false, memoryBytes: 1 })
  assert.match(error?.message ?? '', /2 checks failed/)
  assert.match(error?.why ?? '', /root[\s\S]*memory/)
})

test('missing kernel features are a warning, and a repair may find its own files', () => {
  const features = { overlay: false, namespaces: false, cgroups: false }
  assert.equal(errorFor({ kernelFeatures: features }), undefined)
  const findings = preflight({ ...good, kernelFeatures: features }, wanted)
  assert.equal(findings.filter(({ level }) => level === 'warning').length, 3)
  assert.equal(errorFor({ dataDirEntries: ['config.yaml'] }, true), undefined)
  // What an interrupted install left is taken up; what holds data without a configuration is not.
  assert.equal(errorFor({ dataDirEntries: ['pki', 'run', 'admin.kubeconfig.12.tmp'] }), undefined)
  assert.match(errorFor({ dataDirEntries: ['pki', 'datastore'] })?.message ?? '', /datastore/)
  // Of what another user of Windows may have put there nothing is taken up.
  assert.match(errorFor({ system: 'windows', dataDirEntries: ['pki'] })?.message ?? '', /pki/)
})

test('the runtime auto becomes one that this machine has, and says why', () => {
  const decide = (containers: Partial<HostFacts['containers']>, over: Partial<HostFacts> = {}) =>
    decideRuntime('auto', { ...good, containers: { ...good.containers, ...containers }, ...over })
  assert.equal(decide({}).name, 'oci')
  assert.equal(decide({ missing: both(['runc']), installable: both(true) }).name, 'oci')
  assert.equal(decide({ missing: { oci: ['conmon'], containerd: [] } }).name, 'containerd')
  assert.equal(decideRuntime('auto', good, true).name, 'containerd')
  const unknown = decide({ missing: both(['runc', 'nft']) })
  assert.equal(unknown.name, 'process')
  assert.match(unknown.reason, /runc, nft/)
  const locked = decide({ obstacle: 'control groups cannot be made' })
  assert.deepEqual(locked, { name: 'process', reason: 'control groups cannot be made' })
  for (const system of ['macos', 'windows'] as const) assert.equal(decide({}, { system }).name, 'process')
  assert.equal(decideRuntime('simulated', good).name, 'simulated')
})

test('containerd without its programs is refused, unless they can be installed', () => {
  const lacking = { missing: both(['runc', 'nft']), installable: both(false), obstacle: '' }
  const findings = (over: Partial<HostFacts['containers']>, hasCriSocket = false) =>
    preflightError(
      preflight(
        { ...good, containers: { ...lacking, ...over } },
        { ...wanted, runtime: 'containerd', hasCriSocket },
      ),
    )
  assert.equal(findings({})?.code, 'host/program-missing')
  assert.equal(findings({ installable: both(true) }), undefined)
  assert.equal(findings({ missing: both(['runc']) }, true), undefined)
  assert.equal(findings({ obstacle: 'the kernel offers no namespaces' })?.code, 'host/unsupported')
})
