/**
 * The first cluster, from the sources and from the executable: install to Ready, restart to ready, the sample
 * from apply to Ready, and what the daemon uses while it idles. Medians of RUNS; no peer can run here, so the
 * goals are absolute and want a quiet machine.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiFor } from '../test/support/api.ts'
import { installCluster, MK8S, type TestCluster } from '../test/support/cluster.ts'
import { sampleManifest } from '../test/support/sample.ts'
import { until } from '../test/support/until.ts'
import { type Figure, median } from './figure.ts'

const root = join(import.meta.dirname, '..')
const RUNS = 3
const SETTLE_MS = 60_000
const IDLE_MS = 60_000
const NODE_PORT = 31_999
const CLOCK_TICKS_PER_SECOND = 100

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
const seconds = (start: number) => (performance.now() - start) / 1000

interface Usage {
  readonly rssMb: number
  readonly cpuSeconds: number
  readonly writtenMb: number
}

function usage(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const io = readFileSync(`/proc/${pid}/io`, 'utf8')
  return {
    rssMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    cpuSeconds: (Number(stat[11]) + Number(stat[12])) / CLOCK_TICKS_PER_SECOND,
    writtenMb: Number(/\nwrite_bytes: (\d+)/.exec(io)?.[1]) / 1e6,
  }
}

async function restartSeconds(cluster: TestCluster): Promise<number> {
  const api = apiFor(cluster.kubeconfig)
  const pid = cluster.daemonPid()
  const start = performance.now()
  cluster.signalDaemon('SIGKILL')
  await until('ready again', async () => {
    if (cluster.daemonPid() === pid) return false
    return (await api('/readyz')).text === 'ok'
  })
  return seconds(start)
}

async function applySeconds(cluster: TestCluster): Promise<number> {
  const { kubectl } = cluster
  const manifest = sampleManifest(NODE_PORT)
  const start = performance.now()
  await kubectl.ok(['apply', '-f', '-'], { input: manifest })
  await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s'])
  const took = seconds(start)
  await kubectl.ok(['delete', '-f', '-', '--wait=true'], { input: manifest })
  await until('the pods are gone', async () => (await kubectl.ok(['get', 'pods', '-o', 'name'])) === '')
  return took
}

async function idle(cluster: TestCluster) {
  await pause(SETTLE_MS)
  const before = usage(cluster.daemonPid())
  await pause(IDLE_MS)
  const after = usage(cluster.daemonPid())
  return {
    rssMb: after.rssMb,
    cpuPercent: ((after.cpuSeconds - before.cpuSeconds) / (IDLE_MS / 1000)) * 100,
    writtenMbPerHour: (after.writtenMb - before.writtenMb) * (3_600_000 / IDLE_MS),
  }
}

async function measureProgram(label: string, program: string, rssGoalMb: number): Promise<Figure[]> {
  const installs: number[] = []
  const restarts: number[] = []
  const applies: number[] = []
  let atRest = { rssMb: Number.NaN, cpuPercent: Number.NaN, writtenMbPerHour: Number.NaN }
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    const cluster = await installCluster({ program })
    installs.push(seconds(start))
    try {
      if (run === RUNS - 1) atRest = await idle(cluster)
      restarts.push(await restartSeconds(cluster))
      await cluster.mk8s(['status', '--wait-ready'])
      applies.push(await applySeconds(cluster))
    } finally {
      await cluster.remove()
    }
  }
  const figure = (name: string, us: number, unit: string, goal: number): Figure => ({
    figure: `${name}, ${label}`,
    us,
    peer: null,
    unit,
    goal,
  })
  return [
    figure('install to Ready', median(installs), 's', 3),
    figure('killed daemon to /readyz', median(restarts), 's', 1),
    figure('apply of the sample to all Pods Ready', median(applies), 's', 3),
    figure('idle memory (RSS)', atRest.rssMb, 'MB', rssGoalMb),
    figure('idle CPU', atRest.cpuPercent, '% of a core', 1),
    figure('idle disk writes', atRest.writtenMbPerHour, 'MB/h', 50),
  ]
}

export async function measure(): Promise<Figure[]> {
  execFileSync(process.execPath, ['packaging/package.ts', 'linux-x64'], {
    cwd: root,
    stdio: ['ignore', 2, 'inherit'],
  })
  // A copy, as an installation makes one: of a file that was just written, the kernel maps 30 MB more.
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-bench-'))
  const program = join(directory, 'mk8s')
  copyFileSync(join(root, 'dist/mk8s-linux-x64'), program)
  try {
    return [
      ...(await measureProgram('from the executable', program, 150)),
      ...(await measureProgram('from the sources', MK8S, 200)),
    ]
  } finally {
    rmSync(directory, { recursive: true })
  }
}
