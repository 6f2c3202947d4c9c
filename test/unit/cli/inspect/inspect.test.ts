/** What a support bundle holds, what it must not hold, and what it says is wrong. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { renderTar } from '../../../../src/base/tar.ts'
import {
  findWhatIsWrong,
  type InspectFacts,
  isBroken,
  renderFindings,
} from '../../../../src/cli/inspect/findings.ts'
import { readLogFacts, readTail } from '../../../../src/cli/inspect/read-node.ts'
import { createRedactor, redactObject, secretValues } from '../../../../src/cli/inspect/redact.ts'
import type { KubeObject } from '../../../../src/kube/object.ts'
import type { Event } from '../../../../src/kube/types.ts'
import { nodeStatus } from '../../../support/node-status.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-inspect-'))
after(() => rmSync(directory, { recursive: true }))
const NOW = Date.parse('2026-05-01T12:00:00Z')
const DAY_MS = 86_400_000
const at = (minutesAgo: number) => new Date(NOW - minutesAgo * 60_000).toISOString()

test('tar reads what we write, names, modes and contents', () => {
  const big = 'ä'.repeat(3_000)
  const archive = join(directory, 'a.tar')
  writeFileSync(
    archive,
    renderTar(
      [
        { type: 'file', name: 'r/a.txt', mode: 0o600, content: Buffer.from('one') },
        { type: 'file', name: 'r/b/c.txt', mode: 0o600, content: Buffer.from(big) },
      ],
      { modifiedMs: NOW, owner: 'root' },
    ),
  )
  const ran = spawnSync('tar', ['-xf', archive, '-C', directory])
  assert.equal(ran.status, 0, String(ran.stderr))
  assert.equal(readFileSync(join(directory, 'r/a.txt'), 'utf8'), 'one')
  assert.equal(readFileSync(join(directory, 'r/b/c.txt'), 'utf8'), big)
  assert.equal(statSync(join(directory, 'r/a.txt')).mode & 0o777, 0o600)
})

test('secrets are taken out of any text, in every spelling', () => {
  const key = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCC\n-----END PRIVATE KEY-----\n'
  const redact = createRedactor(['hunter2-planted', key])
  const base64 = Buffer.from('hunter2-planted').toString('base64')
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl'
  const text = [
    'the value hunter2-planted',
    base64,
    base64.replaceAll('=', ''),
    key,
    JSON.stringify(key),
    Buffer.from(key).toString('base64'),
    `authorization: Bearer ${token}`,
    token,
    '"password": "swordfish9"',
    '--token=abcdef.0123456789abcdef',
    '-----BEGIN RSA PRIVATE KEY-----\nbroken off',
  ].join('\n')
  const out = redact(text)
  for (const planted of [
    'hunter2',
    'MIGHAg',
    base64.slice(0, 12),
    'eyJhbG',
    'swordfish',
    '0123456789abcdef',
    'broken off',
  ]) {
    assert.equal(out.includes(planted), false, planted)
  }
  assert.match(out, /the value \(redacted\)/)
  const innocent = '{"level":"info","message":"serving","secretName":"tls","address":"127.0.0.1"}'
  assert.equal(redact(innocent), innocent)
})

test('objects lose what holds secrets and keep what explains', () => {
  const base = (kind: string, namespace: string, over: object): KubeObject => ({
    apiVersion: 'v1',
    kind,
    metadata: {
      name: 'x',
      namespace,
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'PLANTED' },
    },
    ...over,
  })
  const secret = base('Secret', 'default', { type: 'Opaque', data: { user: 'UExBTlRFRA==' } })
  assert.deepEqual(secretValues(secret), ['UExBTlRFRA==', 'PLANTED'])
  const env = [
    { name: 'PASSWORD', value: 'PLANTED' },
    { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'x' } } },
  ]
  const pod = base('Pod', 'default', { spec: { containers: [{ name: 'c', image: 'web:1', env }] } })
  const text = JSON.stringify([
    redactObject(secret),
    redactObject(base('ConfigMap', 'default', { data: { file: 'PLANTED' } })),
    redactObject(pod),
  ])
  assert.doesNotMatch(text, /PLANTED|UExBTlRFRA/)
  for (const kept of ['web:1', 'PASSWORD', '"user"', '"file"', 'fieldRef'])
    assert.ok(text.includes(kept), kept)
  const system = redactObject(base('ConfigMap', 'kube-system', { data: { Corefile: '.:53 {}' } }))
  assert.match(JSON.stringify(system), /\.:53/)
})

const facts = (over: Partial<InspectFacts> = {}): InspectFacts => ({
  nowMs: NOW,
  status: nodeStatus(),
  noStatus: { message: '', next: '' },
  configProblem: '',
  preflight: [],
  memoryAvailableBytes: 2 ** 30,
  certificates: [],
  log: { errors: [], starts: 1 },
  apiProblem: undefined,
  events: [],
  ...over,
})
const told = (over: Partial<InspectFacts>) =>
  findWhatIsWrong(facts(over)).map(({ level, subject, message }) => `${level} ${subject}: ${message}`)

test('a healthy node has no findings', () => {
  assert.deepEqual(findWhatIsWrong(facts()), [])
  assert.equal(renderFindings([]), 'nothing is wrong\n')
})

test('a daemon that does not run, or is not ready, is broken', () => {
  const down = facts({ status: null, noStatus: { message: 'mk8s is not running', next: 'mk8s start' } })
  assert.equal(isBroken(findWhatIsWrong(down)), true)
  assert.match(
    renderFindings(findWhatIsWrong(down)),
    /^error {4}daemon: mk8s is not running\n {9}next: mk8s start\n/,
  )
  const components = [{ name: 'kubelet', ok: false, reason: 'no runtime' }]
  assert.deepEqual(told({ status: nodeStatus({ ready: false, components }) }), [
    'error node: kubelet: no runtime',
  ])
})

test('certificates are told of thirty days before they expire', () => {
  const certificate = (name: string, days: number) => ({
    name,
    subject: '',
    validFromMs: NOW - 365 * DAY_MS,
    validToMs: NOW + days * DAY_MS,
  })
  assert.deepEqual(
    told({ certificates: [certificate('a', 200), certificate('b', 12), certificate('c', -1)] }),
    [
      'error certificate c: it expired on 2026-04-30',
      'warning certificate b: it expires in 12 days, on 2026-05-13',
    ],
  )
  const broken = { name: 'd', subject: '', validFromMs: Number.NaN, validToMs: Number.NaN }
  assert.deepEqual(told({ certificates: [broken] }), ['error certificate d: it cannot be read'])
})

test("a user's pod is worth a warning, the cluster's own an error, an event a note", () => {
  const problem = (object: string) => ({
    object,
    reason: 'CrashLoopBackOff',
    message: 'exit 1',
    next: 'logs',
  })
  const event = (reason: string, minutesAgo: number): Event => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e', namespace: 'default' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'web' },
    type: 'Warning',
    reason,
    message: 'm',
    count: 2,
    lastTimestamp: at(minutesAgo),
  })
  const found = told({
    status: nodeStatus({ problems: [problem('pod/default/web'), problem('pod/kube-system/dns')] }),
    events: [event('BackOff', 5), event('Old', 90)],
  })
  assert.deepEqual(found, [
    'error pod/kube-system/dns: CrashLoopBackOff: exit 1',
    'warning pod/default/web: CrashLoopBackOff: exit 1',
    'note event pod/default/web: BackOff: m (2 times)',
  ])
})

test('the log is read from its end, and errors of the last hour are told', () => {
  const line = (level: string, message: string, minutesAgo: number) =>
    JSON.stringify({ time: at(minutesAgo), level, message })
  const log = [
    line('error', 'old', 90),
    line('info', 'starting', 10),
    line('error', 'disk', 5),
    'a crash',
  ].join('\n')
  assert.deepEqual(readLogFacts(log, NOW), { errors: ['disk'], starts: 1 })
  const file = join(directory, 'daemon.log')
  writeFileSync(file, log)
  assert.equal(readTail(file, 12), 'a crash')
  assert.equal(readTail(join(directory, 'none')), '')
  assert.deepEqual(told({ log: { errors: ['disk', 'disk'], starts: 5 } }), [
    'warning daemon: it started 5 times in the last hour',
    'warning daemon.log: 2 errors in the last hour: disk',
  ])
})
