/** What is wrong, from the command line: `status` with problems, `inspect` with its bundle, while it runs and after. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const PLANTED = 'planted-Value-4711'
const directory = temporaryDirectory()
let cluster: TestCluster
before(async () => {
  cluster = await installCluster()
})
after(async () => {
  await cluster.remove()
  rmSync(directory, { recursive: true, force: true })
})

interface Report {
  readonly code: number
  readonly findings: readonly { readonly level: string; readonly subject: string; readonly message: string }[]
  readonly broken: boolean
  /** Everything in the bundle, unpacked. */
  readonly text: string
  readonly files: readonly string[]
}

async function inspect(name: string): Promise<Report> {
  const file = join(directory, `${name}.tar.gz`)
  const ran = await cluster.mk8s(['inspect', '--output', file, '--format', 'json'])
  const { findings, broken, report } = JSON.parse(ran.stdout)
  assert.equal(report, file)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const into = join(directory, name)
  mkdirSync(into)
  const unpacked = await run('tar', ['-xzf', file, '-C', into])
  assert.equal(unpacked.code, 0, unpacked.stderr)
  const files = (readdirSync(into, { recursive: true }) as string[]).filter(each =>
    statSync(join(into, each)).isFile(),
  )
  const text = files.map(each => readFileSync(join(into, each), 'utf8')).join('\n')
  return {
    code: ran.code,
    findings,
    broken,
    text,
    files: files.map(each => each.split('/').slice(1).join('/')),
  }
}

async function plantSecrets(): Promise<void> {
  const { kubectl } = cluster
  await kubectl.ok(['create', 'secret', 'generic', 'planted', `--from-literal=password=${PLANTED}`])
  await kubectl.ok(['create', 'configmap', 'planted', `--from-literal=file=${PLANTED}`])
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'applied' },
    stringData: { a: PLANTED },
  }
  await kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(secret) })
  const token = await kubectl.ok(['create', 'token', 'default'])
  const env = [{ name: 'TOKEN', value: token.trim() }]
  const container = { name: 'c', image: 'i', command: ['sh', '-c', 'exit 3'], env }
  const metadata = { name: 'crashing', annotations: { note: `it is ${PLANTED}` } }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [container] } }
  await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
}

test('nothing is wrong with a new node, and the bundle says what it is', async () => {
  const report = await inspect('healthy')
  assert.deepEqual(
    report.findings.filter(({ level }) => level === 'error'),
    [],
  )
  assert.deepEqual([report.code, report.broken], [0, false])
  for (const file of ['findings.txt', 'status.json', 'config.json', 'daemon.log', 'cluster/nodes.json']) {
    assert.ok(report.files.includes(file), file)
  }
  assert.match(report.text, /"nodeName": "node-1"/)
})

test('a pod that crashes is told by status and by inspect, and no secret is in the bundle', async () => {
  await plantSecrets()
  const status = await until('the crash in the status', async () => {
    const { stdout } = await cluster.mk8s(['status'])
    return stdout.includes('CrashLoopBackOff') && stdout
  })
  assert.match(
    status,
    /^problems:\n {2}pod\/default\/crashing: CrashLoopBackOff: container c exited with code 3/m,
  )
  assert.match(status, /next: mk8s kubectl -n default logs crashing -c c --previous/)
  const json = JSON.parse((await cluster.mk8s(['status', '--format', 'json'])).stdout)
  assert.equal(json.problems[0].object, 'pod/default/crashing')
  const report = await inspect('crashing')
  assert.equal(report.code, 0, 'a pod of the user does not break the node')
  assert.ok(report.findings.some(({ subject }) => subject === 'pod/default/crashing'))
  assert.match(report.text, /crashing/)
  for (const secret of [PLANTED, Buffer.from(PLANTED).toString('base64'), 'PRIVATE KEY', 'eyJhbGciOi']) {
    assert.equal(report.text.includes(secret), false, `${secret} is in the bundle`)
  }
  const kubeconfig = readFileSync(cluster.kubeconfig, 'utf8')
  const key = /client-key-data: *"?([A-Za-z0-9+/=]+)/.exec(kubeconfig)?.[1] ?? ''
  assert.ok(key.length > 40)
  assert.equal(report.text.includes(key.slice(0, 40)), false)
})

test('a daemon that does not run is the finding, and the bundle is made all the same', async () => {
  assert.equal((await cluster.mk8s(['stop'])).code, 0)
  const report = await inspect('stopped')
  assert.deepEqual([report.code, report.broken], [1, true])
  assert.equal(report.findings[0]?.subject, 'daemon')
  assert.match(report.text, /"level":"info"/, 'the log is there')
  const unwritten = await cluster.mk8s(['inspect', '--output', join(directory, 'none/x.tar.gz')])
  assert.match(unwritten.stdout, /^error {4}daemon: mk8s is not running/)
  assert.match(unwritten.stderr, /cannot be written[\s\S]*--output/)
  assert.equal((await cluster.mk8s(['start'])).code, 0)
})
