/** The executable where there is nothing else: no shell, no user, no program, only the C library. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import test, { before, describe } from 'node:test'
import { temporaryDirectory } from '../support/cluster.ts'
import { run } from '../support/kubectl.ts'

const root = join(import.meta.dirname, '../..')
const executable = join(root, 'dist/mk8s-linux-x64')
const LIBRARIES = [
  'libc.so.6',
  'libm.so.6',
  'libdl.so.2',
  'libpthread.so.0',
  'libstdc++.so.6',
  'libgcc_s.so.1',
]
const LOADER = '/lib64/ld-linux-x86-64.so.2'

function reasonToSkip(): string | false {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the executable is made on linux-x64'
  if (process.geteuid?.() !== 0) return 'a root file system of its own needs root'
  try {
    execFileSync('unshare', ['-m', '-p', '-n', '-f', 'true'])
    return false
  } catch {
    return 'unshare and its namespaces are needed'
  }
}

/** Where the machine keeps the library, from the dynamic loader itself. */
function libraryPath(name: string): string {
  const listed = execFileSync(LOADER, ['--list', executable], { encoding: 'utf8' })
  const found = new RegExp(`${name.replaceAll(/[.+]/g, '\\$&')} => (\\S+)`).exec(listed)?.[1]
  return found ?? join(dirname(libraryPath('libc.so.6')), name)
}

const skip = reasonToSkip()

describe('the executable in a root file system with nothing but the C library', { skip }, () => {
  const directory = temporaryDirectory()
  const inRoot = (...path: string[]) => join(directory, 'root', ...path)
  before(async () => {
    if (!existsSync(executable)) {
      const made = await run(process.execPath, ['packaging/package.ts', 'linux-x64'])
      assert.equal(made.code, 0, made.stderr)
    }
    for (const path of [
      'bin',
      'dev',
      'etc',
      'lib64',
      'proc',
      'root',
      'run',
      'tmp',
      'var/lib',
      'lib/x86_64-linux-gnu',
    ]) {
      mkdirSync(inRoot(path), { recursive: true })
    }
    copyFileSync(executable, inRoot('bin/mk8s'))
    copyFileSync(LOADER, inRoot(LOADER))
    for (const name of LIBRARIES) copyFileSync(libraryPath(name), inRoot('lib/x86_64-linux-gnu', name))
  })

  test('installs, tells, stops, starts again and uninstalls', async () => {
    const steps = [
      ['install', '--runtime', 'process'],
      ['status', '--json'],
      ['stop'],
      ['start'],
      ['status', '--json'],
      ['uninstall', '--yes'],
    ]
    // The commands run below one init of their own, so that nothing of them outlives the test.
    const script = join(directory, 'steps.sh')
    const mounts = `ip link set lo up || exit 9\nmount -t proc proc ${inRoot('proc')} || exit 9\nmount --rbind /dev ${inRoot('dev')} || exit 9\n`
    const commands = steps.map(
      (step, index) =>
        `chroot ${inRoot()} /bin/mk8s ${step.join(' ')} >${directory}/${index} 2>&1; echo $? >>${directory}/codes\n`,
    )
    writeFileSync(script, mounts + commands.join(''))
    const done = await run('unshare', ['-m', '-p', '-n', '-f', '--kill-child', 'sh', script])
    assert.equal(done.code, 0, done.stderr)
    const said = (index: number) => readFileSync(join(directory, `${index}`), 'utf8')
    const codes = readFileSync(join(directory, 'codes'), 'utf8').trim().split('\n')
    assert.deepEqual(
      codes,
      steps.map(() => '0'),
      steps.map((_, index) => said(index)).join('\n'),
    )
    for (const index of [1, 4]) assert.equal(JSON.parse(said(index)).ready, true)
    assert.deepEqual(readdirSync(inRoot('var/lib')), [])
    rmSync(directory, { recursive: true, force: true })
  })
})
