/** The sample and `exec` in real containers, on a node in a network namespace that this makes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MK8S } from '../test/support/cluster.ts'
import { NetworkNamespace } from '../test/support/containerd.ts'
import { KUBECTL, run } from '../test/support/kubectl.ts'
import { realRuntimes } from '../test/support/oci.ts'
import { type Figure, median } from './figure.ts'

const root = join(import.meta.dirname, '..')
const RUNS = 3
const IMAGE = 'localhost/mk8s/web:1'
const MANY = 30
/** Waits, and ends at once when it is told to. */
const IDLE = 'trap "exit 0" TERM; while :; do sleep 1; done'
const MANY_GOAL_S = 10
const APPLY_GOAL_S = 6
const EXEC_GOAL_S = 0.15

type Call = (program: string, args: readonly string[], input?: string) => Promise<number>

/** Seconds that the command took; throws when it fails. */
function callsIn(namespace: NetworkNamespace, dataDir: string): Call {
  const [enter, ...words] = namespace.enter
  return async (program, args, input) => {
    const start = performance.now()
    const env = { MK8S_DATA_DIR: dataDir, KUBECONFIG: join(dataDir, 'admin.kubeconfig') }
    const ran = await run(enter, [...words, program, ...args], {
      env,
      ...(input === undefined ? {} : { input }),
    })
    if (ran.code !== 0) throw new Error(`${program} ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    return (performance.now() - start) / 1000
  }
}

async function measureIn(call: Call, runtime: string): Promise<Figure[]> {
  const manifest = readFileSync(join(root, 'samples/web/containers.yaml'), 'utf8')
  await call(MK8S, ['images', 'import', '--busybox', IMAGE])
  const applies: number[] = []
  const execs: number[] = []
  for (let at = 0; at < RUNS; at++) {
    const applied = await call(KUBECTL, ['apply', '-f', '-'], manifest)
    applies.push(applied + (await call(KUBECTL, ['rollout', 'status', 'deployment/web', '--timeout=120s'])))
    const exec = await call(KUBECTL, ['exec', 'deployment/web', '--', 'echo', 'x'])
    execs.push(exec - (await call(KUBECTL, ['version', '--client'])))
    await call(KUBECTL, ['delete', '-f', '-', '--wait=true'], manifest)
    await call(KUBECTL, ['wait', '--for=delete', 'pod', '-l', 'app=web', '--timeout=120s'])
  }
  const figure = (name: string, us: number, goal: number): Figure => ({
    figure: name,
    us,
    peer: null,
    unit: 's',
    goal,
  })
  return [
    figure(`apply of the sample to all Pods Ready, ${runtime}`, median(applies), APPLY_GOAL_S),
    figure(`${MANY} Pods on one node Ready, ${runtime}`, await startMany(call), MANY_GOAL_S),
    figure(`exec, beyond the start of kubectl itself, ${runtime}`, median(execs), EXEC_GOAL_S),
  ]
}

/** Seconds until all are Ready, when their image is there. */
async function startMany(call: Call): Promise<number> {
  const command = ['create', 'deployment', 'many', `--image=${IMAGE}`, `--replicas=${MANY}`]
  const created = await call(KUBECTL, [...command, '--', 'sh', '-c', IDLE])
  const ready = await call(KUBECTL, ['rollout', 'status', 'deployment/many', '--timeout=300s'])
  await call(KUBECTL, ['delete', 'deployment', 'many'])
  await call(KUBECTL, ['wait', '--for=delete', 'pod', '-l', 'app=many', '--timeout=300s'])
  return created + ready
}

/** Each runtime with real containers in its turn. */
export async function measureContainers(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const { runtime, why } of realRuntimes()) figures.push(...(await measureRuntime(runtime, why)))
  return figures
}

/** Empty where containers cannot be run; the reason goes to standard error. */
async function measureRuntime(runtime: string, obstacle: string | undefined): Promise<Figure[]> {
  if (obstacle !== undefined) {
    process.stderr.write(`no figures of ${runtime}: ${obstacle}\n`)
    return []
  }
  const namespace = new NetworkNamespace('bench')
  const parent = mkdtempSync(join(tmpdir(), 'mk8s-bench-'))
  const call = callsIn(namespace, join(parent, 'data'))
  try {
    await call(MK8S, ['install', '--runtime', runtime, '--bind-address', namespace.address])
    return await measureIn(call, runtime)
  } finally {
    await call(MK8S, ['uninstall', '--yes'])
    namespace.remove()
    rmSync(parent, { recursive: true, force: true })
  }
}
