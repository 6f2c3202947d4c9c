/** Where repositories of add-ons come from, and a part that changes the machine: with real git, tar and ip. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { fetchRepository } from '../../src/commands/addons/read-repository.ts'
import { addonRepository, baseAddon } from '../support/addon-repository.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { whyNoNamespace } from '../support/containerd.ts'

const parent = temporaryDirectory()
const directory = join(parent, 'repository')
mkdirSync(directory)
addonRepository(directory).write(baseAddon)

after(() => rmSync(parent, { recursive: true, force: true }))

const contents = async (source: string, reference = '') => {
  const { files, commit } = await fetchRepository(source, reference)
  return { names: [...files.keys()].sort(), text: files.get('base/addon.yaml')?.toString('utf8'), commit }
}

const NAMES = ['base/addon.yaml', 'base/role.yaml']

test('a directory and an archive of it are the same repository', async () => {
  const archive = join(parent, 'repository.tar.gz')
  execFileSync('tar', ['-czf', archive, '-C', parent, 'repository'])
  const [plain, packed] = [await contents(directory), await contents(archive)]
  assert.deepEqual(plain.names, NAMES)
  assert.deepEqual(packed, plain)
  await assert.rejects(fetchRepository(join(parent, 'nothing'), ''), { code: 'config/unreadable' })
})

test('a git repository is taken at the commit that is asked for', async () => {
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', directory, '-c', 'user.name=a', '-c', 'user.email=a@b.c', ...args], {
      encoding: 'utf8',
    }).trim()
  git('init', '--quiet', '--initial-branch=main')
  git('add', '.')
  git('commit', '--quiet', '-m', 'one')
  git('tag', 'v1')
  addonRepository(directory).write({ 'base/addon.yaml': `${baseAddon['base/addon.yaml']}notes: two\n` })
  git('commit', '--quiet', '-am', 'two')
  const url = `file://${directory}`
  const newest = await contents(url)
  assert.deepEqual(newest.names, NAMES)
  assert.match(`${newest.text}`, /notes: two/)
  assert.equal(newest.commit, git('rev-parse', 'HEAD'))
  assert.doesNotMatch(`${(await contents(url, 'v1')).text}`, /notes: two/)
  rmSync(join(directory, '.git'), { recursive: true })
})

const PROGRAM = `
import { hostAccessPart } from './src/runtime/addons/host-access/host-access.ts'
import { execFileSync } from 'node:child_process'
const context = { log: { info() {} } }
const signal = new AbortController().signal
const show = () => console.log(/inet (10[.0-9]+)/.exec(execFileSync('ip', ['-4', '-o', 'address', 'show', 'dev', 'lo']))?.[1] ?? 'none')
for (const ip of ['10.0.1.1', '10.0.1.1', '10.0.1.9']) {
  await hostAccessPart.start(context, { ip }, signal)
  show()
}
await hostAccessPart.cleanUp(context)
show()
await hostAccessPart.cleanUp(context)
`

test('host-access gives every node one address, another one when asked, and none when disabled', {
  skip: whyNoNamespace(),
}, () => {
  const root = join(import.meta.dirname, '../..')
  const words = ['--net', process.execPath, '--input-type=module', '-e', PROGRAM]
  const said = execFileSync('unshare', words, { cwd: root, encoding: 'utf8' })
  assert.deepEqual(said.trim().split('\n'), ['10.0.1.1', '10.0.1.1', '10.0.1.9', 'none'])
})
