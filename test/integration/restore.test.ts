/** Real daemons: a backup brings one server back, one that has never been, and what was written since is gone. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { MK8S, temporaryDirectory } from '../support/cluster.ts'
import { kubectlFor, run } from '../support/kubectl.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let directory = ''
let node: TestNode
const GAP = 1_000_000_000

before(async () => {
  directory = temporaryDirectory()
  servers = await startServers({ count: 1 })
  const [first] = servers.nodes
  assert.ok(first)
  node = first
})
after(async () => {
  await servers?.remove()
  rmSync(directory, { recursive: true, force: true })
})

const file = () => join(directory, 'a.mk8sbackup')

async function mustRun(on: TestNode, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await on.mk8s(args)
  assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}\n${await on.log()}`)
  return stdout
}

const revisionOf = async (on: TestNode, kind: string, name: string): Promise<number> => {
  const { metadata } = JSON.parse(await on.kubectl.ok(['get', kind, name, '-o', 'json'])) as {
    metadata: { resourceVersion: string }
  }
  return Number(metadata.resourceVersion)
}

/** As the one who binds them leaves them: the volume names the claim by its uid. */
async function makeVolume(): Promise<void> {
  const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'manual', volumeName: 'disk' }
  const claim = { ...spec, resources: { requests: { storage: '1Mi' } } }
  await apply({ kind: 'PersistentVolumeClaim', metadata: { name: 'data', namespace: 'shop' }, spec: claim })
  const { volumeName: _, ...volume } = spec
  const claimRef = { kind: 'PersistentVolumeClaim', namespace: 'shop', name: 'data', uid: await claimUid() }
  const source = { capacity: { storage: '1Mi' }, hostPath: { path: '/tmp' }, claimRef }
  await apply({ kind: 'PersistentVolume', metadata: { name: 'disk' }, spec: { ...volume, ...source } })
}
const apply = (object: object) =>
  node.kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', ...object }) })
const claimUid = () => node.kubectl.ok(['-n', 'shop', 'get', 'pvc', 'data', '-o', 'jsonpath={.metadata.uid}'])

test('a dry run shows what would be added, changed and removed, and changes nothing', async () => {
  await node.kubectl.ok(['create', 'configmap', 'kept', '--from-literal=a=1'])
  await node.kubectl.ok(['create', 'configmap', 'deleted', '--from-literal=a=1'])
  await node.kubectl.ok(['create', 'namespace', 'shop'])
  await node.kubectl.ok(['-n', 'shop', 'create', 'deployment', 'web', '--image', 'web:1'])
  await node.kubectl.ok(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=120s'])
  await makeVolume()
  await mustRun(node, ['backup-datastore', '-o', file()])
  await node.kubectl.ok(['delete', 'configmap', 'deleted'])
  await node.kubectl.ok(['patch', 'configmap', 'kept', '-p', '{"data":{"a":"2"}}'])
  await node.kubectl.ok(['create', 'configmap', 'later', '--from-literal=a=1'])
  const { differences } = JSON.parse(
    await mustRun(node, ['restore-datastore', file(), '--dry-run', '--json']),
  ) as {
    differences: { resource: string; added: number; changed: number; removed: number }[]
  }
  assert.deepEqual(
    differences.find(({ resource }) => resource === 'configmaps'),
    { resource: 'configmaps', added: 1, changed: 1, removed: 1 },
  )
  assert.ok(!existsSync(join(node.dataDir, 'recovery')))
  const asked = await node.mk8s(['restore-datastore', file()])
  assert.deepEqual([asked.code, /--yes/.test(asked.stderr)], [6, true], asked.stderr)
  assert.equal(await node.kubectl.ok(['get', 'configmap', 'later', '-o', 'name']), 'configmap/later\n')
})

test('a restore brings back what was deleted, and takes away what the backup lacks', async () => {
  const before = await revisionOf(node, 'configmap', 'later')
  const out = await mustRun(node, ['restore-datastore', file(), '--yes'])
  assert.match(out, /before-restore-/)
  const names = await node.kubectl.ok([
    'get',
    'configmaps',
    '-o',
    'jsonpath={range .items[*]}{.metadata.name}={.data.a} {end}',
  ])
  assert.match(names, /deleted=1 kept=1/)
  assert.doesNotMatch(names, /later/)
  await node.kubectl.ok(['create', 'configmap', 'anew'])
  assert.ok((await revisionOf(node, 'configmap', 'anew')) > before + GAP - 1_000)
  const watch = await node.kubectl.try([
    'get',
    '--raw',
    `/api/v1/configmaps?watch=1&resourceVersion=${before}&timeoutSeconds=1`,
  ])
  assert.match(`${watch.stdout}${watch.stderr}`, /Expired|too old/)
  const kept = readdirSync(node.dataDir).find(name => name.startsWith('before-restore-')) ?? ''
  assert.ok(existsSync(join(node.dataDir, kept, 'datastore/state.sqlite')))
  await node.kubectl.ok(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=120s'])
})

test('a part is written into the running cluster, with owners as they are now', async () => {
  await node.kubectl.ok(['delete', 'namespace', 'shop', '--wait=true'])
  await node.kubectl.ok(['delete', 'configmap', 'anew'])
  const only = ['namespace/shop', 'pv/disk', 'cm/default/deleted'].flatMap(part => ['--only', part])
  const args = ['restore-datastore', file(), ...only, '--json']
  const planned = JSON.parse(await mustRun(node, [...args, '--dry-run'])) as Outcomes
  assert.deepEqual(actionsOf(planned, /shop|deleted/).get('deployments.apps shop/web'), 'added')
  assert.equal((await node.kubectl.try(['get', 'namespace', 'shop'])).code, 1)
  const done = JSON.parse(await mustRun(node, [...args, '--yes'])) as Outcomes
  const actions = actionsOf(done, /./)
  assert.deepEqual(
    ['namespaces shop', 'deployments.apps shop/web', 'configmaps default/deleted'].map(name =>
      actions.get(name),
    ),
    ['added', 'added', 'unchanged'],
  )
  assert.equal([...actions.values()].includes('failed'), false, JSON.stringify(done))
  await node.kubectl.ok(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=120s'])
  const owner = [
    '-n',
    'shop',
    'get',
    'replicaset',
    '-o',
    'jsonpath={.items[*].metadata.ownerReferences[0].uid}',
  ]
  const uid = ['-n', 'shop', 'get', 'deployment', 'web', '-o', 'jsonpath={.metadata.uid}']
  assert.equal(await node.kubectl.ok(owner), await node.kubectl.ok(uid))
  const claimed = ['get', 'pv', 'disk', '-o', 'jsonpath={.spec.claimRef.uid}']
  assert.equal(await node.kubectl.ok(claimed), await claimUid())
})

interface Outcomes {
  readonly objects: readonly {
    readonly name: string
    readonly action: string
    readonly remarks: readonly string[]
  }[]
}

const actionsOf = ({ objects }: Outcomes, wanted: RegExp): Map<string, string> =>
  new Map(objects.filter(({ name }) => wanted.test(name)).map(({ name, action }) => [name, action]))

test('a backup that is damaged changes nothing', async () => {
  const bytes = readFileSync(file())
  bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1
  const bad = join(directory, 'bad.mk8sbackup')
  writeFileSync(bad, bytes)
  const { code, stderr } = await node.mk8s(['restore-datastore', bad, '--yes'])
  assert.deepEqual([code, /damaged/.test(stderr)], [1, true], stderr)
  assert.ok(!existsSync(join(node.dataDir, 'recovery')))
  await node.kubectl.ok(['get', 'configmap', 'kept'])
})

test('where the disk refuses, nothing is changed, at whichever step it is', async () => {
  for (const kibibytes of [2, 64, 600]) {
    const command = `ulimit -f ${kibibytes}; exec "${MK8S}" restore-datastore "${file()}" --yes`
    const { code, stderr } = await run('bash', ['-c', command], { env: { MK8S_DATA_DIR: node.dataDir } })
    assert.equal(code, 1, `${kibibytes}: ${stderr}`)
    assert.match(stderr, /code +(host|store)\/disk/, `${kibibytes}: ${stderr}`)
    assert.ok(!existsSync(join(node.dataDir, 'recovery')))
  }
  await node.kubectl.ok(['create', 'configmap', 'still-serving'])
})

test('a datastore that is damaged is replaced', async () => {
  await mustRun(node, ['stop'])
  writeFileSync(join(node.dataDir, 'datastore', 'state.sqlite'), 'what a broken disk returns')
  const unrecovered = await node.mk8s(['recover', '--dry-run'])
  assert.deepEqual([unrecovered.code, /restore-datastore FILE/.test(unrecovered.stderr)], [1, true])
  const { stderr } = await node.mk8s(['restore-datastore', file(), '--yes'])
  assert.match(stderr, /present state cannot be read/)
  assert.match(await node.kubectl.ok(['get', 'configmaps', '-o', 'name']), /configmap\/kept/)
})

test('a restore that was decided is not taken for a recovery', async () => {
  await mustRun(node, ['stop'])
  const recovery = join(node.dataDir, 'recovery')
  mkdirSync(recovery)
  const journal = {
    newClusterId: 'x',
    keptIn: 'y',
    restore: { files: [], obsolete: [], others: [], voters: [] },
  }
  writeFileSync(join(recovery, 'journal.json'), JSON.stringify(journal))
  const { code, stderr } = await node.mk8s(['recover', '--yes', '--others-are-off'])
  assert.deepEqual([code, /mk8s start/.test(stderr)], [6, true], stderr)
  rmSync(recovery, { recursive: true })
  await mustRun(node, ['start'])
})

test('an empty machine becomes the cluster, and what had the old keys goes on', async () => {
  const passphrase = join(directory, 'passphrase')
  writeFileSync(passphrase, 'what nobody knows\n', { mode: 0o600 })
  const sealed = join(directory, 'sealed.mk8sbackup')
  const worker = await servers.join({ worker: true })
  await mustRun(node, ['enable', 'multus', 'storage', '--set', 'storage.reclaim-policy=Retain'])
  await mustRun(node, ['backup-datastore', '-o', sealed, '--passphrase-file', passphrase])
  const kubeconfig = join(directory, 'old.kubeconfig')
  cpSync(join(node.dataDir, 'admin.kubeconfig'), kubeconfig)
  await mustRun(node, ['uninstall', '--yes'])
  const settings = ['--bind-address', node.address, '--node-name', node.name, '--runtime', 'simulated']
  const restore = ['restore-datastore', sealed, '--passphrase-file', passphrase, '--yes', ...settings]
  const wrong = join(directory, 'wrong')
  writeFileSync(wrong, 'something else\n', { mode: 0o600 })
  const refused = await node.mk8s([
    'restore-datastore',
    sealed,
    '--passphrase-file',
    wrong,
    '--yes',
    ...settings,
  ])
  assert.equal(refused.code, 6, refused.stderr)
  assert.ok(!existsSync(node.dataDir))
  await mustRun(node, restore)
  const old = kubectlFor(kubeconfig)
  assert.match(await old.ok(['get', 'configmaps', '-o', 'name']), /configmap\/kept/)
  // Add-ons are there with their parameters, and are kept as before.
  assert.match(await mustRun(node, ['addons', 'list']), /^multus +core +enabled/m)
  assert.match(await old.ok(['get', 'crd', '-o', 'name']), /network-attachment-definitions/)
  await old.ok(['delete', 'storageclass', 'hostpath-storage'])
  const policy = ['get', 'storageclass', 'hostpath-storage', '-o', 'jsonpath={.reclaimPolicy}']
  await until('the class is back', async () => (await old.try(policy)).stdout === 'Retain')
  const overrides = JSON.stringify({ spec: { nodeName: worker.name } })
  await old.ok(['run', 'probe', '--image', 'web:1', '--overrides', overrides])
  await until('the worker, which nobody has touched, runs a new pod', async () => {
    const phase = await old.ok(['get', 'pod', 'probe', '-o', 'jsonpath={.status.phase}'])
    return phase === 'Running'
  })
})

test('without keys, an empty machine becomes a cluster of new authorities, and workers join again', async () => {
  const plain = join(directory, 'plain.mk8sbackup')
  await mustRun(node, ['backup-datastore', '-o', plain])
  const kubeconfig = join(directory, 'earlier.kubeconfig')
  cpSync(join(node.dataDir, 'admin.kubeconfig'), kubeconfig)
  await mustRun(node, ['uninstall', '--yes'])
  const settings = (on: TestNode) => [
    '--bind-address',
    on.address,
    '--node-name',
    on.name,
    '--runtime',
    'simulated',
  ]
  const restored = await node.mk8s(['restore-datastore', plain, '--yes', ...settings(node)])
  assert.equal(restored.code, 0, restored.stderr)
  assert.match(restored.stderr, /no keys[\s\S]*mk8s uninstall[\s\S]*mk8s add-node --worker/)
  assert.match(await node.kubectl.ok(['get', 'configmaps', '-o', 'name']), /configmap\/kept/)
  const earlier = await kubectlFor(kubeconfig).try(['get', 'configmaps'])
  assert.match(earlier.stderr, /unknown authority/)
  const authority = ['get', 'configmap', 'kube-root-ca.crt', '-o', 'jsonpath={.data.ca\\.crt}']
  const now = readFileSync(join(node.dataDir, 'pki/cluster-ca.crt'), 'utf8').trim()
  await until(
    'pods are told the new authority',
    async () => (await node.kubectl.ok(authority)).trim() === now,
  )
  const worker = servers.nodes[1]
  assert.ok(worker)
  await mustRun(worker, ['uninstall', '--yes'])
  const url = await servers.invite(['--worker'])
  await mustRun(worker, ['join', url, '--worker', ...settings(worker)])
  await until('the worker runs the pod that the backup has for it', async () => {
    const pod = await node.kubectl.ok([
      'get',
      'pod',
      'probe',
      '-o',
      'jsonpath={.status.phase} {.spec.nodeName}',
    ])
    return pod === `Running ${worker.name}`
  })
})
