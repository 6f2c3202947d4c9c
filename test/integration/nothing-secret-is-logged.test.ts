/**
 * A real daemon that logs everything it can (debug level, audit log at RequestResponse), through which secrets of all
 * kinds go: none of them may be in a log, in the audit log, or in what `ps` shows.
 */
import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { apiFor } from '../support/api.ts'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { until } from '../support/until.ts'

let cluster: TestCluster
let watching: NodeJS.Timeout
const directory = temporaryDirectory()
/** Command lines that were seen, but those of this test's own kubectl and mk8s, to which it hands secrets itself. */
const commandLines = new Set<string>()
const planted = new Map<string, string>()
const plant = (what: string): string => {
  const word = `planted${planted.size}squeamishossifrage${process.pid}`
  planted.set(what, word)
  return word
}

const SECRET_THINGS = ['secrets', 'serviceaccounts/token']
const REVIEWS = { group: 'authentication.k8s.io', resources: ['tokenreviews'] }

before(async () => {
  const policy = join(directory, 'policy.yaml')
  const rules = [
    { level: 'Metadata', resources: [{ group: '', resources: SECRET_THINGS }, REVIEWS] },
    { level: 'RequestResponse' },
  ]
  writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }))
  cluster = await installCluster({ args: ['--audit-policy-file', policy, '--log-level', 'debug'] })
  watching = setInterval(noteCommandLines, 25)
})
after(async () => {
  clearInterval(watching)
  await cluster?.remove()
  rmSync(directory, { recursive: true, force: true })
})

function noteCommandLines(): void {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      commandLines.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
    } catch {
      // It has ended.
    }
  }
}

const file = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}
const base64 = (text: string) => Buffer.from(text).toString('base64')
const manifest = (object: object) => file('object.json', JSON.stringify(object))
const secret = (name: string, fields: object) =>
  manifest({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, ...fields })

/** The planted words that are in a text, plain or in base64. */
function foundIn(text: string): string[] {
  const holds = (word: string) => text.includes(word) || text.includes(base64(word).slice(0, -4))
  return [...planted].filter(([, word]) => holds(word)).map(([what]) => what)
}

const logs = () => globSync(['daemon.log*', 'audit/*', 'logs/*.log'], { cwd: cluster.dataDir })
const textOf = (name: string) => readFileSync(join(cluster.dataDir, name), 'utf8')

test('secrets that go through the API and the commands are in no log and no list of processes', async () => {
  const { kubectl } = cluster
  await kubectl.ok([
    'apply',
    '-f',
    secret('made', { stringData: { word: plant('a Secret that is applied') } }),
  ])
  await kubectl.ok([
    'apply',
    '-f',
    secret('made', { stringData: { word: plant('a Secret that is changed') } }),
  ])
  const patch = { stringData: { more: plant('a Secret that is patched') } }
  await kubectl.ok(['patch', 'secret', 'made', '--patch-file', file('patch.json', JSON.stringify(patch))])
  const wrong = secret('wrong', {
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': plant('a Secret that is refused') },
  })
  assert.notEqual((await kubectl.try(['create', '-f', wrong])).code, 0)
  const dropped = secret('dropped', { stringdata: { a: plant('an unknown field of a Secret') } })
  await kubectl.ok(['create', '--validate=false', '-f', dropped])
  const token = await kubectl.ok(['create', 'token', 'default'])
  planted.set('a token that was made', token.trim().split('.')[2] ?? '')
  const spec = { token: plant('a token that is reviewed') }
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec }
  await kubectl.ok(['create', '-f', manifest(review)])
  const api = apiFor(cluster.kubeconfig)
  const authorization = `Bearer ${plant('a token that is not good')}`
  const refused = await api('/api/v1/pods', { anonymous: true, headers: { authorization } })
  assert.equal(refused.status, 401)
  const accepted = await api('/version', {
    anonymous: true,
    headers: { authorization: `Bearer ${token.trim()}` },
  })
  assert.equal(accepted.status, 200)
  const bootstrap = secret('bootstrap-token-abcdef', {
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      'token-id': 'abcdef',
      'token-secret': 'x'.repeat(16),
      description: plant('a bootstrap token'),
    },
  })
  await kubectl.ok(['-n', 'kube-system', 'create', '-f', bootstrap])
})

test('a pod that uses a Secret, a join token, encryption, rotation and a sealed backup leave nothing behind', async () => {
  const { kubectl } = cluster
  const word = plant('a Secret that a pod uses')
  await kubectl.ok(['create', '-f', secret('used', { stringData: { word } })])
  const env = [{ name: 'WORD', valueFrom: { secretKeyRef: { name: 'used', key: 'word' } } }]
  const container = { name: 'c', image: 'busybox', command: ['sleep', '1000'], env }
  await kubectl.ok([
    ...['create', '-f'],
    manifest({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'user' },
      spec: { containers: [container] },
    }),
  ])
  await kubectl.ok(['wait', 'pod/user', '--for=condition=Ready', '--timeout=120s'])
  const mk8s = async (args: readonly string[]) => {
    const { code, stdout, stderr } = await cluster.mk8s(args)
    assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}`)
    return stdout
  }
  const { urls } = JSON.parse(await mk8s(['add-node', '--format', 'json'])) as { urls: string[] }
  const [, join = ''] = /\/([^/]+)\/[^/]*$/.exec(urls[0] ?? '') ?? []
  assert.ok(join.length > 15, String(urls))
  planted.set('a join token', join)
  await mk8s(['secrets-encryption', 'enable'])
  await mk8s(['secrets-encryption', 'rotate', '--wrapping-key'])
  await mk8s(['refresh-certs', '--cert', 'service-account.key', '--yes'])
  for (const name of ['service-account.key', 'secrets-encryption.key', 'cluster-ca.key']) {
    const [line] = textOf(`pki/${name}`)
      .split('\n')
      .filter(one => !one.startsWith('-----'))
    planted.set(name, line ?? '')
  }
  const passphrase = file('passphrase', plant('the passphrase of a backup'))
  await mk8s(['backup-datastore', '-o', `${directory}/b.mk8sbackup`, '--passphrase-file', passphrase])
})

test('nothing of it is found', async () => {
  const last = 'the-last-thing'
  await cluster.kubectl.ok(['create', 'configmap', last])
  await until('the audit log is written', () => textOf('audit/audit.log').includes(last))
  assert.match(textOf('audit/audit.log'), /"level":"RequestResponse".*"responseObject"/)
  assert.match(textOf('daemon.log'), /debug/)
  assert.ok(planted.size > 12)
  for (const name of logs()) assert.deepEqual(foundIn(textOf(name)), [], name)
  assert.ok(commandLines.size > 5)
  for (const line of commandLines) assert.deepEqual(foundIn(line), [], line.slice(0, 200))
})
