/**
 * The executable where there is nothing else: no shell, no user, no program, only the C library; on this machine's
 * processor, and the one for arm64 in qemu.
 */
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
import { join } from 'node:path'
import test, { before, describe } from 'node:test'
import { temporaryDirectory } from '../support/cluster.ts'
import { madeExecutable, whyNoExecutable } from '../support/executable.ts'
import { KUBECTL, run } from '../support/kubectl.ts'

interface Machine {
  readonly target: 'linux-x64' | 'linux-arm64'
  /** Where its loader has to be, and where this machine keeps it and the libraries. */
  readonly loader: string
  readonly loaderHere: string
  readonly libraries: string
  /** Namespaces of its own. */
  readonly unshare: readonly string[]
  /** What the shell does first in them. */
  readonly prepare: string
  readonly why: string | false
  readonly steps: readonly (readonly string[])[]
}

const LIBRARIES = ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0']

/** Debian's description of the emulator, for the kernel: with it the program may start itself again. */
const EMULATION = '/usr/lib/binfmt.d/qemu-aarch64.conf'
const MODULE = '/proc/sys/fs/binfmt_misc'
const ARM64_LIBRARIES = '/usr/aarch64-linux-gnu/lib'

function whyNoNamespaces(words: readonly string[]): string | false {
  if (whyNoExecutable !== false) return whyNoExecutable
  if (process.geteuid?.() !== 0) return 'a root file system of its own needs root'
  try {
    execFileSync('unshare', [...words], { stdio: 'ignore' })
    return false
  } catch {
    return 'unshare and its namespaces are needed'
  }
}

function whyNoArm64(unshare: readonly string[]): string | false {
  if (!existsSync(EMULATION)) return 'qemu-user-static is needed'
  if (!existsSync(join(ARM64_LIBRARIES, 'libc.so.6'))) return 'libc6-arm64-cross is needed'
  // Since Linux 6.7 a user namespace has registrations of its own, so that this machine's stay as they are.
  const ours = `mount -t binfmt_misc binfmt_misc ${MODULE} && cat ${EMULATION} >${MODULE}/register`
  const why = whyNoNamespaces([...unshare, 'sh', '-c', ours])
  return why === 'unshare and its namespaces are needed' ? 'the kernel gives no binfmt_misc of our own' : why
}

function machines(): Machine[] {
  const own = ['-m', '-p', '-n', '-f', '--kill-child']
  const emulated = ['-U', '-r', ...own, '--mount-proc']
  const here = execFileSync('/bin/sh', ['-c', 'ls -d /lib/x86_64-linux-gnu /usr/lib64 2>/dev/null || true'])
  const [libraries = '/lib64'] = here.toString().split('\n')
  return [
    {
      target: 'linux-x64',
      loader: '/lib64/ld-linux-x86-64.so.2',
      loaderHere: '/lib64/ld-linux-x86-64.so.2',
      libraries,
      unshare: own,
      prepare: '',
      why: whyNoNamespaces([...own, 'true']),
      steps: [
        ['version'],
        ['install', '--runtime', 'process'],
        ['kubectl-of-the-test', 'get', 'nodes'],
        ['status', '--json'],
        ['stop'],
        ['start'],
        ['status', '--json'],
        ['uninstall', '--yes'],
      ],
    },
    {
      target: 'linux-arm64',
      loader: '/lib/ld-linux-aarch64.so.1',
      loaderHere: join(ARM64_LIBRARIES, 'ld-linux-aarch64.so.1'),
      libraries: ARM64_LIBRARIES,
      unshare: emulated,
      prepare: `mount -t binfmt_misc binfmt_misc ${MODULE} && cat ${EMULATION} >${MODULE}/register || exit 9\n`,
      why: whyNoArm64(emulated),
      steps: [
        ['version'],
        ['--help'],
        ['install', '--runtime', 'process'],
        ['config'],
        ['kubectl-of-the-test', 'get', 'nodes'],
        ['status', '--json'],
        ['uninstall', '--yes'],
      ],
    },
  ]
}

for (const machine of machines()) {
  const { target, why: skip } = machine
  describe(`the executable for ${target} with nothing but the C library`, { skip }, () => {
    const directory = temporaryDirectory()
    const inRoot = (...path: string[]) => join(directory, 'root', ...path)
    before(async () => {
      const executable = await madeExecutable(target)
      for (const path of ['bin', 'dev', 'etc', 'lib', 'lib64', 'proc', 'root', 'run', 'tmp', 'var/lib']) {
        mkdirSync(inRoot(path), { recursive: true })
      }
      copyFileSync(executable, inRoot('bin/mk8s'))
      copyFileSync(machine.loaderHere, inRoot(machine.loader))
      const libraries = target === 'linux-x64' ? machine.libraries : 'lib'
      mkdirSync(inRoot(libraries), { recursive: true })
      for (const name of LIBRARIES) copyFileSync(join(machine.libraries, name), inRoot(libraries, name))
    })

    test('installs, tells, answers kubectl and uninstalls', async () => {
      const { steps } = machine
      const kubectl = `${KUBECTL} --kubeconfig ${inRoot('var/lib/mk8s/admin.kubeconfig')} --cache-dir ${directory}/cache`
      // The commands run below one init of their own, so that nothing of them outlives the test.
      const script = join(directory, 'steps.sh')
      const mounts = `ip link set lo up || exit 9\nmount -t proc proc ${inRoot('proc')} || exit 9\nmount --rbind /dev ${inRoot('dev')} || exit 9\n`
      const commands = steps.map(([first = '', ...words], index) => {
        const program = first === 'kubectl-of-the-test' ? kubectl : `chroot ${inRoot()} /bin/mk8s ${first}`
        return `${program} ${words.join(' ')} >${directory}/${index} 2>&1; echo $? >>${directory}/codes\n`
      })
      writeFileSync(script, machine.prepare + mounts + commands.join(''))
      const done = await run('unshare', [...machine.unshare, 'sh', script], { timeoutMs: 540_000 })
      assert.equal(done.code, 0, done.stderr)
      const said = steps.map((_, index) => readFileSync(join(directory, `${index}`), 'utf8'))
      const codes = readFileSync(join(directory, 'codes'), 'utf8').trim().split('\n')
      assert.deepEqual(
        codes,
        steps.map(() => '0'),
        said.join('\n'),
      )
      for (const [index, [first]] of steps.entries()) {
        if (first === 'status') assert.equal(JSON.parse(said[index] ?? '').ready, true)
        if (first === 'kubectl-of-the-test') assert.match(said[index] ?? '', / Ready /)
      }
      assert.deepEqual(readdirSync(inRoot('var/lib')), [])
      rmSync(directory, { recursive: true, force: true })
    })
  })
}
