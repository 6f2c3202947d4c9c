/** Real clusters of several nodes for a test: `mk8s install`, then `mk8s join`, on loopback addresses of one machine. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createAdminClient } from '../../src/client/admin-client.ts'
import type { NodeStatus } from '../../src/client/node-status.ts'
import { nodePaths } from '../../src/host/node-files.ts'
import { freeAddress, MK8S, temporaryDirectory } from './cluster.ts'
import { KUBECTL, type Kubectl, kubectlFor, type Ran, type RunOptions, run } from './kubectl.ts'
import { until } from './until.ts'

export interface TestNode {
  readonly name: string
  readonly address: string
  readonly dataDir: string
  /** Speaks to this node's own API server. */
  readonly kubectl: Kubectl
  /** Runs an mk8s command on this node, whatever the outcome. */
  mk8s(args: readonly string[], options?: RunOptions): Promise<Ran>
  /** What `mk8s status` shows, without a process for each look; throws while it does not run. */
  status(): Promise<NodeStatus>
  /** Sends the signal to the daemon alone; its supervisor starts it again when that ended it. */
  signalDaemon(signal: NodeJS.Signals): void
  /** The daemon stands still, as SIGSTOP makes it: returns once none of its threads runs any more, which takes a while. */
  freeze(): Promise<void>
  thaw(): void
  /** As a power cut: daemon and supervisor are gone at once. */
  powerOff(): void
  /** After `powerOff`: starts it, and does not wait until it is ready. */
  powerOn(): Promise<Ran>
  /** The last lines of its log. */
  log(): Promise<string>
}

export interface TestServers {
  readonly nodes: readonly TestNode[]
  /** Joins one more node and waits for it; throws with what `mk8s join` said when that fails. */
  join(options?: NodeOptions): Promise<TestNode>
  /** A node that is not installed yet, for tests of joining itself. */
  blank(options?: NodeOptions): TestNode
  /** The join command's arguments as `add-node` of the first node that answers has them. */
  invite(args?: readonly string[]): Promise<string>
  remove(): Promise<void>
}

export interface NodeOptions {
  /** Words in front of every command, such as those that enter a network namespace. */
  readonly enter?: readonly string[]
  readonly address?: string
  readonly args?: readonly string[]
  readonly worker?: boolean
  readonly program?: string
}

export interface ServersOptions extends NodeOptions {
  readonly count: number
  readonly runtime?: 'simulated' | 'process' | 'oci'
}

/** Networks with room for many nodes, which hardly any other test file uses at the same time. */
function freeNetworks(): string[] {
  const block = process.pid % 90
  return ['--pod-cidr', `10.${1 + block}.0.0/16`, '--service-cidr', `10.${100 + block}.0.0/24`]
}

/** Installs one node and joins the others, one after the other. */
export async function startServers(options: ServersOptions): Promise<TestServers> {
  const parent = temporaryDirectory()
  const nodes: TestNode[] = []
  const made: TestNode[] = []
  const program = options.program ?? MK8S
  const blank = (nodeOptions: NodeOptions = {}) => {
    const own = nodeOptions.program ?? program
    const node = nodeIn(parent, `n${made.length + 1}`, own, { ...options, ...nodeOptions })
    made.push(node)
    return node
  }
  const settings = (node: TestNode, { args = [] }: NodeOptions) => {
    const runtime = ['--runtime', options.runtime ?? 'simulated']
    return ['--bind-address', node.address, '--node-name', node.name, ...runtime, ...args]
  }
  const servers: TestServers = {
    nodes,
    blank,
    async invite(args = []) {
      for (const node of nodes) {
        const { code, stdout } = await node.mk8s(['add-node', '--format', 'json', ...args])
        if (code === 0) return (JSON.parse(stdout) as { urls: string[] }).urls[0] ?? ''
      }
      throw new Error('no node gives out a token')
    },
    async join(nodeOptions = {}) {
      const worker = nodeOptions.worker ? ['--worker'] : []
      const url = await servers.invite(worker)
      const node = blank(nodeOptions)
      await mustRun(node, ['join', url, ...worker, ...settings(node, { ...options, ...nodeOptions })])
      nodes.push(node)
      return node
    },
    async remove() {
      for (const node of made) {
        node.powerOff()
        await node.mk8s(['uninstall', '--yes'])
      }
      rmSync(parent, { recursive: true, force: true })
    },
  }
  try {
    const first = blank()
    await mustRun(first, ['install', ...settings(first, options), ...freeNetworks()])
    nodes.push(first)
    for (let count = 1; count < options.count; count++) await servers.join()
  } catch (error) {
    await servers.remove()
    throw error
  }
  return servers
}

async function mustRun(node: TestNode, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await node.mk8s(args)
  if (code === 0) return
  throw new Error(`mk8s ${args[0]} exited ${code}: ${stdout}${stderr}\n${await node.log()}`)
}

function nodeIn(parent: string, name: string, program: string, options: NodeOptions): TestNode {
  const { enter = [] } = options
  const dataDir = join(parent, name)
  const [first = program, ...words] = [...enter, program]
  const mk8s = (args: readonly string[], runOptions: RunOptions = {}) =>
    run(first, [...words, ...args], { ...runOptions, env: { MK8S_DATA_DIR: dataDir, ...runOptions.env } })
  const pidIn = (file: string) => Number.parseInt(readFileSync(join(dataDir, 'run', file), 'utf8'), 10)
  return {
    name,
    address: options.address ?? freeAddress(),
    dataDir,
    kubectl: kubectlFor(join(dataDir, 'admin.kubeconfig'), KUBECTL, enter),
    mk8s,
    status: () => createAdminClient(nodePaths(dataDir).adminSocket).status(),
    signalDaemon: signal => {
      process.kill(pidIn('daemon.pid'), signal)
    },
    async freeze() {
      const pid = pidIn('daemon.pid')
      process.kill(pid, 'SIGSTOP')
      await until(`${name} stands still`, () => threadStates(pid).every(state => state === 'T'))
    },
    thaw() {
      process.kill(pidIn('daemon.pid'), 'SIGCONT')
    },
    powerOff() {
      for (const file of ['supervisor.pid', 'daemon.pid']) {
        try {
          process.kill(pidIn(file), 'SIGKILL')
        } catch {
          // It is off already.
        }
      }
    },
    powerOn: () => mk8s(['start', '--timeout', '1']),
    log: async () => (await run('tail', ['-n', '40', join(dataDir, 'daemon.log')])).stdout,
  }
}

/** The letter that the kernel has for each thread of the process; one that ends meanwhile has none. */
function threadStates(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/task`).map(
    id => /\) (\S)/.exec(readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8'))?.[1] ?? '',
  )
}

/** Until the status of the node says so; shows the last answer when it never does. */
export async function untilStatus(
  node: TestNode,
  what: string,
  holds: (status: Record<string, unknown>) => boolean,
): Promise<void> {
  await until(what, async () => {
    return holds((await node.status()) as unknown as Record<string, unknown>)
  })
}
