/** A real one-node cluster for a test: `mk8s install` from the source tree, on a loopback address of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KUBECTL, type Kubectl, kubectlFor, type Ran, type RunOptions, run } from './kubectl.ts'
import { until } from './until.ts'

const root = join(import.meta.dirname, '../..')
/** The program under test: the sources, or what `node scripts/test.ts --executable` has made of them. */
export const MK8S = process.env['MK8S_TEST_PROGRAM'] ?? join(root, 'bin/mk8s')

export interface TestCluster {
  readonly dataDir: string
  readonly address: string
  readonly kubeconfig: string
  readonly kubectl: Kubectl
  /** Runs an mk8s command on this cluster, whatever the outcome. */
  mk8s(args: readonly string[], options?: RunOptions): Promise<Ran>
  daemonPid(): number
  /** Sends the signal to the daemon alone; its supervisor starts it again when that ended it. */
  signalDaemon(signal: NodeJS.Signals): void
  /** Until the API server answers `/readyz` again. */
  ready(): Promise<void>
  remove(): Promise<void>
}

export interface ClusterOptions {
  readonly program?: string
  /** A loopback address of its own unless given. */
  readonly address?: string
  /** Words in front of every command, such as those that enter a network namespace. */
  readonly enter?: readonly string[]
  readonly args?: readonly string[]
}

let clusters = 0

/** A loopback address that no other test file uses at the same time: made of the process id and a counter. */
export function freeAddress(): string {
  clusters++
  const id = process.pid % 60_000
  return `127.${200 + (clusters % 50)}.${(id >> 8) & 255}.${id & 255 || 1}`
}

/** Networks that no other test file uses at the same time: a `process` runtime's pods listen on this very machine. */
export function freeNetworks(): string[] {
  const id = process.pid % (90 * 256)
  const [block, row] = [id >> 8, id & 255]
  return ['--pod-cidr', `10.${1 + block}.${row}.0/24`, '--service-cidr', `10.${100 + block}.${row}.0/24`]
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'mk8s-test-'))
}

export async function installCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const enter = options.enter ?? []
  const program = options.program ?? MK8S
  const [first = program, ...words] = [...enter, program]
  const parent = temporaryDirectory()
  const dataDir = join(parent, 'data')
  const address = options.address ?? freeAddress()
  const kubeconfig = join(dataDir, 'admin.kubeconfig')
  const mk8s = (args: readonly string[], runOptions: RunOptions = {}) =>
    run(first, [...words, ...args], { ...runOptions, env: { MK8S_DATA_DIR: dataDir, ...runOptions.env } })
  const kubectl = kubectlFor(kubeconfig, KUBECTL, enter)
  const daemonPid = () => Number.parseInt(readFileSync(join(dataDir, 'run/daemon.pid'), 'utf8'), 10)
  const cluster: TestCluster = {
    dataDir,
    address,
    kubeconfig,
    kubectl,
    mk8s,
    daemonPid,
    signalDaemon: signal => {
      process.kill(daemonPid(), signal)
    },
    async ready() {
      await until(
        'the API server is ready',
        async () => (await kubectl.try(['get', '--raw', '/readyz'])).stdout === 'ok',
      )
    },
    async remove() {
      await mk8s(['uninstall', '--yes'])
      rmSync(parent, { recursive: true, force: true })
    },
  }
  const fixed = ['--bind-address', address, '--node-name', 'node-1', '--runtime', 'process']
  const { args = [] } = options
  const networks = args.includes('--pod-cidr') ? [] : freeNetworks()
  const installed = await mk8s(['install', ...fixed, ...networks, ...args])
  if (installed.code !== 0) {
    const log = await run('tail', ['-n', '40', join(dataDir, 'daemon.log')])
    await cluster.remove()
    throw new Error(`install exited ${installed.code}: ${installed.stdout}${installed.stderr}\n${log.stdout}`)
  }
  return cluster
}
