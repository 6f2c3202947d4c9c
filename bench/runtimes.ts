/** The oci runtime beside containerd, both behind the kubelet's own interface and in the same run. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { busyboxImage } from '../src/runtime/images/busybox-image.ts'
import { importArchive } from '../src/runtime/images/import-archive.ts'
import { CriRuntime } from '../src/runtime/kubelet/runtime/cri/cri-runtime.ts'
import type { Runtime } from '../src/runtime/kubelet/runtime/runtime.ts'
import { containerOf, sandboxOf } from '../test/contract/runtime/runtime-contract.ts'
import { architecture, startTestContainerd, whyNoContainers } from '../test/support/containerd.ts'
import { ociBench, whyNoOci } from '../test/support/oci.ts'
import { type Figure, median } from './figure.ts'

const IMAGE = 'docker.io/example/web:1'
const CYCLES = 15
const IDLE_PODS = 5
const MEMORY_GOAL_MB = 3
/** Of containerd's, in the same run. */
const GOAL_RATIO = 0.5
const KIB_PER_MB = 1_000_000 / 1_024

interface Measured {
  readonly startMs: number
  readonly cycleCpuMs: number
  readonly idleMb: number
}

let groups = 0

/** CPU time of the processes that were put into it, and of all that they start. */
class CpuGroup {
  readonly #tree = ['cpuacct', 'cpu,cpuacct', '']
    .map(name => join('/sys/fs/cgroup', name))
    .find(existsSync) as string
  readonly #name = `mk8s-bench-${process.pid}-${groups++}`

  constructor(pids: readonly number[]) {
    mkdirSync(this.#path)
    for (const pid of pids) writeFileSync(join(this.#path, 'cgroup.procs'), `${pid}\n`)
  }

  get #path(): string {
    return join(this.#tree, this.#name)
  }

  ms(pods: string): number {
    return this.#read(this.#path) + this.#read(join(this.#tree, pods))
  }

  /** Only once all processes have left it. */
  remove(): void {
    writeFileSync(join(this.#tree, 'cgroup.procs'), `${process.pid}\n`)
    try {
      rmdirSync(this.#path)
    } catch {
      // A process that is about to end still holds it.
    }
  }

  #read(path: string): number {
    const plain = join(path, 'cpuacct.usage')
    if (existsSync(plain)) return Number(readFileSync(plain, 'utf8')) / 1e6
    const text = existsSync(join(path, 'cpu.stat')) ? readFileSync(join(path, 'cpu.stat'), 'utf8') : ''
    return Number(/usage_usec (\d+)/.exec(text)?.[1] ?? 0) / 1e3
  }
}

interface Subject {
  readonly runtime: Runtime
  readonly directory: string
  readonly nodeId: string
  /** Names of the programs that stand beside each pod. */
  readonly keeper: string
  readonly daemon: number | undefined
}

const sandbox = (directory: string, index: number) =>
  sandboxOf(directory, { metadata: { name: 'web', namespace: 'default', uid: `uid-${index}`, attempt: 0 } })

async function startPod(
  { runtime, directory }: Subject,
  index: number,
): Promise<{ pod: string; id: string }> {
  const pod = await runtime.runSandbox(sandbox(directory, index))
  const id = await runtime.createContainer(pod, containerOf({ logPath: `bench/${index}.log` }))
  await runtime.startContainer(id)
  return { pod, id }
}

async function measureOne(subject: Subject): Promise<Measured> {
  const { runtime, nodeId, daemon } = subject
  await runtime.start(() => {})
  const warm = await startPod(subject, 0)
  await runtime.removeSandbox(warm.pod)
  const group = new CpuGroup([process.pid, ...(daemon === undefined ? [] : [daemon])])
  const starts: number[] = []
  const cpu: number[] = []
  for (let index = 1; index <= CYCLES; index++) {
    const before = group.ms(nodeId)
    const began = performance.now()
    const { pod, id } = await startPod(subject, index)
    starts.push(performance.now() - began)
    await runtime.exec(id, ['true'], { timeoutMs: 60_000 })
    await runtime.stopContainer(id, 0)
    // What the pod's own group has counted goes with it.
    const used = group.ms(nodeId)
    const base = group.ms('none')
    await runtime.removeSandbox(pod)
    cpu.push(used - before + group.ms('none') - base)
  }
  const idle = await Promise.all(
    Array.from({ length: IDLE_PODS }, (_, index) => startPod(subject, 100 + index)),
  )
  const idleMb = keepersMb(subject) / IDLE_PODS
  for (const { pod } of idle) await runtime.removeSandbox(pod)
  group.remove()
  await runtime.stop()
  return { startMs: median(starts), cycleCpuMs: median(cpu), idleMb }
}

/** Resident memory of everything beside the pods' own programs. */
function keepersMb({ keeper, directory }: Subject): number {
  const ids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  const sizes = ids.map(id => {
    try {
      const words = readFileSync(`/proc/${id}/cmdline`, 'utf8')
      if (!words.includes(keeper) || !words.includes(directory)) return 0
      return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1] ?? 0)
    } catch {
      return 0
    }
  })
  return sizes.reduce((sum, size) => sum + size, 0) / KIB_PER_MB
}

async function measureContainerd(): Promise<Measured> {
  const bench = await startTestContainerd()
  try {
    const archive = await busyboxImage(IMAGE, architecture())
    await importArchive(bench.socketPath, { archive })
    const { socketPath, nodeId, directory } = bench
    const runtime = new CriRuntime({ socketPath, nodeId, clock: systemClock, log: silentLog })
    const daemon = Number.parseInt(readFileSync(join(directory, 'containerd/pid'), 'utf8'), 10)
    return await measureOne({ runtime, directory, nodeId, daemon, keeper: 'containerd-shim' })
  } finally {
    await bench.remove()
  }
}

async function measureOci(): Promise<Measured> {
  const bench = ociBench()
  try {
    await bench.import(IMAGE)
    const { directory, nodeId } = bench
    return await measureOne({ runtime: bench.open(), directory, nodeId, daemon: undefined, keeper: 'conmon' })
  } finally {
    await bench.remove()
  }
}

/** Empty where containers cannot be run; the reason goes to standard error. */
export async function measure(): Promise<Figure[]> {
  const obstacle = whyNoContainers() ?? whyNoOci()
  if (obstacle !== undefined) {
    process.stderr.write(`no figures of runtimes: ${obstacle}\n`)
    return []
  }
  // What is waited for here keeps no process alive by itself.
  const held = setInterval(() => {}, 1_000)
  const peer = await measureContainerd()
  const us = await measureOci()
  clearInterval(held)
  return [
    {
      figure: 'sandbox to running container, oci beside containerd',
      ...{ us: us.startMs, peer: peer.startMs, unit: 'ms', goal: peer.startMs * GOAL_RATIO },
    },
    {
      figure: 'CPU of a pod from start to end, oci beside containerd',
      ...{ us: us.cycleCpuMs, peer: peer.cycleCpuMs, unit: 'ms', goal: peer.cycleCpuMs * GOAL_RATIO },
    },
    {
      figure: 'memory of an idle pod beside its program, oci beside containerd',
      ...{ us: us.idleMb, peer: peer.idleMb, unit: 'MB', goal: MEMORY_GOAL_MB },
    },
  ]
}
