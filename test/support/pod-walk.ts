/**
 * A pod with something at each phase of its life, and a way through them: something of the node is killed as soon as
 * a phase is seen, the pod has to get well and to go, and nothing of it may be left on the node.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../src/base/random.ts'
import { readOrEmpty } from '../../src/host/files.ts'
import { instanceName } from '../../src/host/node-files.ts'
import type { Pod } from '../../src/kube/types.ts'
import { cgroupTrees } from '../../src/runtime/kubelet/runtime/cri/pod-cgroups.ts'
import { type ContainerCluster, IMAGE } from './container-cluster.ts'
import { until } from './until.ts'

/** What is looked for among the programs that run, or `''` for the moment right after the pod was made or deleted. */
export interface Phase {
  readonly name: string
  readonly seen: (commands: readonly string[]) => boolean
  /** It comes while the pod is deleted. */
  readonly atEnd?: boolean
}

/** `slow`: the daemon, while the programs that it runs are held up until after its next one has begun. */
export type Victim = 'daemon' | 'slow' | 'conmon' | 'init' | 'program' | 'containerd' | 'shim'

const says = (word: RegExp) => (commands: readonly string[]) => commands.some(command => word.test(command))

/** Sleeps are named after their length. */
export const PHASES: readonly Phase[] = [
  { name: 'made', seen: () => true },
  { name: 'network', seen: says(/lib\/cni\/|\/(ptp|portmap|host-local|bandwidth)\0?$/) },
  { name: 'created', seen: says(/crun .*create|runc .*create|containerd-shim/) },
  { name: 'init', seen: says(/^sleep 0\.31/) },
  { name: 'second init', seen: says(/^sleep 0\.32/) },
  { name: 'main', seen: says(/^sleep 98765/) },
  { name: 'postStart', seen: says(/^sleep 0\.33/) },
  { name: 'probe', seen: says(/^sleep 0\.11/) },
  { name: 'deleted', seen: () => true, atEnd: true },
  { name: 'preStop', seen: says(/^sleep 0\.34/), atEnd: true },
  { name: 'grace', seen: says(/^sleep 0\.35/), atEnd: true },
  { name: 'detached', seen: says(/lib\/cni\/|\/(ptp|portmap|host-local|bandwidth)\0?$|umount/), atEnd: true },
]

const sleeping = (seconds: string) => ['sleep', seconds]
const exec = (seconds: string) => ({ exec: { command: sleeping(seconds) } })

export function walkedPod(name: string, claim: string, random: Random): object {
  const volumeMounts = [
    { name: 'disk', mountPath: '/disk' },
    { name: 'disk', mountPath: '/part', subPath: 'a/b' },
    { name: 'memory', mountPath: '/memory' },
    { name: 'words', mountPath: '/words' },
    { name: 'claim', mountPath: '/claim' },
  ]
  const each = (word: string, command: readonly string[], more: object = {}) => ({
    ...{ name: word, image: IMAGE, command, volumeMounts, ...more },
  })
  // PID 1 of a container ignores signals that it has no handler for.
  const script =
    "trap 'sleep 0.35; exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 98765 & wait; done"
  const probe = { ...exec('0.11'), periodSeconds: 1, timeoutSeconds: 20 }
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
    spec: {
      terminationGracePeriodSeconds: 5,
      shareProcessNamespace: random.float() < 0.5,
      initContainers: [
        each('one', sleeping('0.31')),
        each('side', ['sh', '-c', 'trap "exit 0" TERM; sleep 98764 & wait'], { restartPolicy: 'Always' }),
        each('two', sleeping('0.32')),
      ],
      containers: [
        each('main', ['sh', '-c', script], {
          ports: [{ containerPort: 8080, hostPort: 18_080 }],
          ...{
            startupProbe: { ...probe, failureThreshold: 60 },
            readinessProbe: probe,
            livenessProbe: probe,
          },
          lifecycle: { postStart: exec('0.33'), preStop: exec('0.34') },
        }),
      ],
      volumes: [
        { name: 'disk', emptyDir: {} },
        { name: 'memory', emptyDir: { medium: 'Memory' } },
        { name: 'words', projected: { sources: [{ downwardAPI: { items: [DOWNWARD] } }] } },
        { name: 'claim', persistentVolumeClaim: { claimName: claim } },
      ],
    },
  }
}

const DOWNWARD = { path: 'name', fieldRef: { fieldPath: 'metadata.name' } }

interface Process {
  readonly pid: number
  readonly words: readonly string[]
}

/** Those that belong to the node of this directory: by their words, their settings or their control group. */
function programs(dataDir: string): Process[] {
  const node = instanceName(dataDir)
  const own = (id: string, words: string) =>
    words.includes(dataDir) ||
    groupOf(id).includes(node) ||
    (PROGRAM.test(words.split('\0')[0] ?? '') && readOrEmpty(`/proc/${id}/environ`).includes(dataDir))
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(id => ({ id, words: readOrEmpty(`/proc/${id}/cmdline`) }))
    .filter(({ id, words }) => words !== '' && own(id, words))
    .map(({ id, words }) => ({ pid: Number(id), words: words.split('\0').slice(0, -1) }))
}

const PROGRAM = /(^|\/)(conmon|crun|runc|ptp|portmap|host-local|bandwidth|unshare|umount|mount)$/

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended.
  }
}

const groupOf = (pid: string): string => readOrEmpty(`/proc/${pid}/cgroup`)

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : [])
/** A look takes milliseconds, so no pause is needed between two. */
const others = () => new Promise<void>(resolve => setImmediate(resolve))
const passing = (ms: number) => {
  const end = performance.now() + ms
  return until('it has passed', () => performance.now() >= end)
}

export class PodWalk {
  readonly #cluster: ContainerCluster
  readonly #random: Random
  readonly #runtime: string

  constructor(cluster: ContainerCluster, runtime: string, random: Random) {
    this.#cluster = cluster
    this.#random = random
    this.#runtime = runtime
  }

  /** By its kind: how many there are of what a pod may leave behind. */
  async leftovers(): Promise<Record<string, readonly string[]>> {
    const { dataDir, inside } = this.#cluster
    const node = instanceName(dataDir)
    const links = (await inside('ip', ['-brief', 'link'])).stdout.match(/^veth\S+/gm) ?? []
    const rules = (await inside('nft', ['list', 'ruleset'])).stdout.match(/.*18080.*/gm) ?? []
    const groups = cgroupTrees().flatMap(tree => groupsBelow(join(tree, node)))
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map(line => line.split(' ')[1] ?? '')
    const leases = ['oci/ipam', 'containerd/ipam', 'ipam'].flatMap(path =>
      namesIn(join(dataDir, path, 'mk8s')),
    )
    return {
      links,
      rules,
      groups: groups.filter(path => /\/pod[0-9a-f]/.test(path)),
      mounts: mounts.filter(
        point => point.startsWith(dataDir) && /sandboxes\/|containers\/|pods\/|tasks|netns/.test(point),
      ),
      leases: leases.filter(name => /^\d+\.\d+\.\d+\.\d+$/.test(name)),
      sandboxes: namesIn(join(dataDir, 'oci/sandboxes')),
      containers: namesIn(join(dataDir, 'oci/containers')),
      exits: namesIn(join(dataDir, 'oci/exits')),
      states: ['crun', 'runc'].flatMap(name => namesIn(join(dataDir, 'oci/state', name))),
      volumes: namesIn(join(dataDir, 'pods')),
      logs: namesIn(join(dataDir, 'logs')),
      programs: this.#own()
        .filter(({ words }) => /conmon$|containerd-shim|^sleep$/.test(words[0] ?? ''))
        .map(({ words }) => words.join(' ')),
    }
  }

  #pidsOf(victim: Victim): number[] {
    const { dataDir } = this.#cluster
    const idIn = (file: string) => Number.parseInt(readFileSync(join(dataDir, file), 'utf8'), 10)
    const named = (word: RegExp) => this.#own().filter(({ words }) => word.test(words[0] ?? ''))
    switch (victim) {
      case 'daemon':
      case 'slow':
        return [idIn('run/daemon.pid')]
      case 'containerd':
        return [idIn('containerd/pid')]
      case 'conmon':
        return named(/conmon$/).map(({ pid }) => pid)
      case 'shim':
        return named(/containerd-shim/).map(({ pid }) => pid)
      case 'init':
        return named(/^sh$/).map(({ pid }) => pid)
      case 'program':
        return this.#programs().map(({ pid }) => pid)
    }
  }

  #own(): Process[] {
    return programs(this.#cluster.dataDir)
  }

  /** What the daemon has others do. */
  #programs(): Process[] {
    return this.#own().filter(({ words }) => PROGRAM.test(words[0] ?? ''))
  }

  /** One of them, by chance. */
  kill(victim: Victim): string {
    const pids = this.#pidsOf(victim)
    const pid = pids[Math.floor(this.#random.float() * pids.length)]
    if (pid === undefined) return 'nobody'
    try {
      process.kill(pid, 'SIGKILL')
      return `${pid}`
    } catch {
      return 'somebody who had gone'
    }
  }

  async #await(phase: Phase, deadlineMs: number): Promise<boolean> {
    const end = performance.now() + deadlineMs
    while (performance.now() < end) {
      if (phase.seen(this.#own().map(({ words }) => words.join(' ')))) return true
      await others()
    }
    return false
  }

  /** Returns what happened, for whoever has to find out why it went wrong. */
  async round(name: string, claim: string, phase: Phase, victim: Victim): Promise<string> {
    const { kubectl } = this.#cluster
    const claimOf = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: claim } }
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } }
    await this.#cluster.apply({ ...claimOf, spec }, walkedPod(name, claim, this.#random))
    const strike = async (): Promise<string> => {
      const isSeen = await this.#await(phase, 20_000)
      if (this.#random.float() < 0.5) await passing(this.#random.float() * 60)
      const held = victim === 'slow' ? this.#programs() : []
      for (const { pid } of held) signal(pid, 'SIGSTOP')
      const before = this.kill(victim)
      if (held.length > 0) {
        await until('another daemon runs', () => `${this.#pidsOf('daemon')[0]}` !== before)
        await kubectl.try(['wait', '--for=condition=Ready', 'node', '--all'])
        await passing(1_000)
        for (const { pid } of held) signal(pid, 'SIGCONT')
      }
      const what = held.map(({ words }) => words.slice(0, 4).join(' '))
      return `${victim} ${before} at ${phase.name}${isSeen ? '' : ' (not seen)'} ${what.join(', ')}`
    }
    let said = ''
    if (!phase.atEnd) said = await strike()
    await until(`${name} is ready (${said})`, async () => {
      const pod = JSON.parse((await kubectl.try(['get', 'pod', name, '-o', 'json'])).stdout) as Pod
      return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
    })
    const deletion = until(`${name} is deleted`, async () => {
      const ran = await kubectl.try(['delete', 'pod', name, '--wait=false', '--ignore-not-found'])
      return ran.code === 0
    })
    if (phase.atEnd) said = await strike()
    await deletion
    await until(`${name} is gone (${said})`, async () => {
      const ran = await kubectl.try(['get', 'pod', name, '--ignore-not-found'])
      return ran.code === 0 && ran.stdout === ''
    })
    let left: Record<string, readonly string[]> = {}
    await until(
      `nothing is left (${said})`,
      async () => {
        left = await this.leftovers()
        return Object.values(left).every(each => each.length === 0)
      },
      20_000,
    ).catch(() => assert.fail(`${said} left: ${JSON.stringify(left, null, 1)}`))
    return said
  }

  get victims(): readonly Victim[] {
    const common = ['daemon', 'slow', 'init', 'program'] as const
    return this.#runtime === 'oci' ? [...common, 'conmon'] : [...common, 'containerd', 'shim']
  }
}

function groupsBelow(directory: string): string[] {
  if (!existsSync(directory)) return []
  const children = readdirSync(directory, { withFileTypes: true }).filter(entry => entry.isDirectory())
  return [directory, ...children.flatMap(({ name }) => groupsBelow(join(directory, name)))]
}
