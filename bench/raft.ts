/**
 * The datastore with one member, beside Debian's etcd-server on the same machine and disk: puts in process and
 * through the etcd endpoint, memory and restart with many objects. Rounds alternate; ratios are of medians. The
 * load client is one of our own on node:http2, the same for both. Goals are the issue's, which are for three members.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { openRaftStore } from '../src/runtime/store/raft-store.ts'
import { GrpcClient } from '../test/support/grpc-client.ts'
import { until } from '../test/support/until.ts'
import { type Figure, median } from './figure.ts'
import { type Load, loadEndpoint, loadStore, type Outcome, putOver } from './put-load.ts'

const root = join(import.meta.dirname, '..')
const ROUNDS = 3
const ROUND_MS = 2_000
const WRITERS = [1, 16, 128] as const
const VALUE_BYTES = 1024
const OBJECTS = 100_000
const OBJECT_BYTES = 2048
const OBJECT_WRITERS = 128
/** At least so many times etcd's puts, by the number of writers. */
const IN_PROCESS_RATIO: Readonly<Record<number, number>> = { 1: 1.2, 16: 3.5, 128: 3.5 }
const ENDPOINT_RATIO: Readonly<Record<number, number>> = { 1: 0.75, 16: 1, 128: 1 }
const MEMORY_MB_MAX = 400
const RESTART_SECONDS_MAX = 3
const CLOCK_TICKS_PER_SECOND = 100

export async function measure(): Promise<Figure[]> {
  // On the same disk as the sources: /tmp is memory on many machines, which has no flush to measure.
  const directory = mkdtempSync(join(root, 'build', 'bench-raft-'))
  try {
    return [...(await measurePuts(directory)), ...(await measureObjects(directory))]
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

interface Served {
  readonly process: ChildProcess
  readonly path: string
}

async function measurePuts(directory: string): Promise<Figure[]> {
  const store = await openStore(join(directory, 'in-process'))
  const member = await startMember(join(directory, 'member'), 0)
  const etcd = await startEtcd(join(directory, 'etcd'))
  const outcomes = { inProcess: new Map(), endpoint: new Map(), etcd: new Map() } as Record<
    'inProcess' | 'endpoint' | 'etcd',
    Map<number, ServedOutcome[]>
  >
  const note = (of: keyof typeof outcomes, writers: number, outcome: ServedOutcome) =>
    outcomes[of].set(writers, [...(outcomes[of].get(writers) ?? []), outcome])
  for (let round = 0; round < ROUNDS; round++) {
    for (const writers of WRITERS) {
      const load = { writers, milliseconds: ROUND_MS, valueBytes: VALUE_BYTES }
      note('inProcess', writers, { ...(await loadStore(store, load)), cpuSeconds: 0 })
      note('endpoint', writers, await loadServed(member, load))
      if (etcd !== null) note('etcd', writers, await loadServed(etcd, load))
    }
  }
  await store.close()
  await end(member)
  if (etcd !== null) await end(etcd)
  return WRITERS.flatMap(writers => [
    ...putFigures('in process', writers, outcomes.inProcess, outcomes.etcd, IN_PROCESS_RATIO),
    ...putFigures('through the etcd endpoint', writers, outcomes.endpoint, outcomes.etcd, ENDPOINT_RATIO),
    cpuFigure(writers, outcomes.endpoint, outcomes.etcd),
  ])
}

interface ServedOutcome extends Outcome {
  /** Of the server's process. */
  readonly cpuSeconds: number
}

async function loadServed(served: Served, load: Load): Promise<ServedOutcome> {
  const before = cpuSecondsOf(served)
  const outcome = await loadEndpoint(served.path, load)
  return { ...outcome, cpuSeconds: cpuSecondsOf(served) - before }
}

function cpuSecondsOf({ process: { pid } }: Served): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(stat[11]) + Number(stat[12])) / CLOCK_TICKS_PER_SECOND
}

/** What a put costs the server; of all figures the one that a busy machine disturbs least. */
function cpuFigure(
  writers: number,
  ours: ReadonlyMap<number, readonly ServedOutcome[]>,
  theirs: ReadonlyMap<number, readonly ServedOutcome[]>,
): Figure {
  const cost = (outcomes: readonly ServedOutcome[]) =>
    median(outcomes.map(({ cpuSeconds, puts }) => (cpuSeconds * 1e6) / puts))
  const peers = theirs.get(writers)
  const peer = peers === undefined ? null : cost(peers)
  const figure = `server CPU per put, ${writers} writers, through the etcd endpoint`
  const goal = (peer ?? Number.POSITIVE_INFINITY) / (ENDPOINT_RATIO[writers] ?? 1)
  return { figure, us: cost(ours.get(writers) ?? []), peer, unit: 'µs', goal }
}

/** As time per put, so that less is better, like everything else that is reported. */
function putFigures(
  where: string,
  writers: number,
  ours: ReadonlyMap<number, readonly Outcome[]>,
  theirs: ReadonlyMap<number, readonly Outcome[]>,
  ratios: Readonly<Record<number, number>>,
): Figure[] {
  const of = (outcomes: typeof ours, pick: (outcome: Outcome) => number) => {
    const list = outcomes.get(writers)
    return list === undefined ? null : median(list.map(pick))
  }
  const microseconds = (outcome: Outcome) => 1e6 / outcome.putsPerSecond
  const p99 = (outcome: Outcome) => outcome.p99Ms
  const [us, peer] = [of(ours, microseconds) ?? Number.NaN, of(theirs, microseconds)]
  const [usTail, peerTail] = [of(ours, p99) ?? Number.NaN, of(theirs, p99)]
  const goal = peer === null ? Number.POSITIVE_INFINITY : peer / (ratios[writers] ?? 1)
  const name = `${writers} writers, ${where}`
  return [
    { figure: `time per put, ${name}`, us, peer, unit: 'µs', goal },
    { figure: `p99 of a put, ${name}`, us: usTail, peer: peerTail, unit: 'ms', goal: peerTail ?? Infinity },
  ]
}

async function measureObjects(directory: string): Promise<Figure[]> {
  const empty = await startMember(join(directory, 'empty'), 0)
  const emptyMb = residentMb(empty)
  await end(empty)
  const home = join(directory, 'objects')
  const loaded = await startMember(home, OBJECTS)
  const memoryMb = residentMb(loaded) - emptyMb
  const restart = await restartSeconds(loaded, () => startMember(home, 0))
  const etcdHome = join(directory, 'etcd-objects')
  const etcd = await startEtcd(etcdHome)
  const peer = etcd === null ? null : await measureEtcdObjects(etcd, etcdHome)
  return [
    {
      figure: `memory of ${OBJECTS} objects of ${OBJECT_BYTES} bytes`,
      us: memoryMb,
      peer: peer?.memoryMb ?? null,
      unit: 'MB',
      goal: MEMORY_MB_MAX,
    },
    {
      figure: `restart with ${OBJECTS} objects, until a put is answered`,
      us: restart,
      peer: peer?.restart ?? null,
      unit: 's',
      goal: RESTART_SECONDS_MAX,
    },
  ]
}

async function measureEtcdObjects(etcd: Served, home: string) {
  const emptyMb = residentMb(etcd)
  const client = new GrpcClient({ path: etcd.path })
  const value = Buffer.alloc(OBJECT_BYTES, 'x')
  const write = async (writer: number) => {
    for (let at = writer; at < OBJECTS; at += OBJECT_WRITERS) {
      await putOver(client, `/bench/object-${String(at).padStart(9, '0')}`, value)
    }
  }
  await Promise.all(Array.from({ length: OBJECT_WRITERS }, (_, writer) => write(writer)))
  client.close()
  const memoryMb = residentMb(etcd) - emptyMb
  const restart = await restartSeconds(etcd, async () => {
    const again = await startEtcd(home)
    if (again === null) throw new Error('etcd is gone')
    return again
  })
  return { memoryMb, restart }
}

/** From SIGKILL to the first put that the next life of the server answers. */
async function restartSeconds(served: Served, start: () => Promise<Served>): Promise<number> {
  const gone = new Promise(resolve => served.process.once('exit', resolve))
  served.process.kill('SIGKILL')
  await gone
  const before = performance.now()
  const again = await start()
  const client = new GrpcClient({ path: again.path })
  await putOver(client, '/bench/after', Buffer.from('x'))
  const seconds = (performance.now() - before) / 1000
  client.close()
  await end(again)
  return seconds
}

function openStore(directory: string) {
  return openRaftStore({
    directory,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    onFatal: error => {
      throw error
    },
  })
}

async function startMember(directory: string, objects: number): Promise<Served> {
  const args = [join(root, 'bench/raft-member.ts'), directory, String(objects), String(OBJECT_BYTES)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', code => reject(new Error(`the member ended with code ${code}`)))
  })
  return { process: child, path: join(directory, 'etcd.sock') }
}

/** Null where Debian's etcd-server is not installed. */
async function startEtcd(directory: string): Promise<Served | null> {
  if (spawnSync('etcd', ['--version']).status !== 0) return null
  mkdirSync(directory, { recursive: true })
  // What a killed one left would be in its way.
  for (const socket of ['localhost:1', 'localhost:2']) rmSync(join(directory, socket), { force: true })
  // etcd makes a socket of this name in its working directory.
  const address = 'localhost:1'
  const args = ['--data-dir', 'data', '--log-level', 'error', '--listen-client-urls', `unix://${address}`]
  const peers = [
    '--listen-peer-urls',
    'unix://localhost:2',
    '--initial-advertise-peer-urls',
    'http://localhost:2',
  ]
  const cluster = ['--initial-cluster', 'default=http://localhost:2']
  const all = [...args, '--advertise-client-urls', 'http://localhost:1', ...peers, ...cluster]
  const quota = ['--quota-backend-bytes', String(8 * 1024 ** 3)]
  const child = spawn('etcd', [...all, ...quota], { cwd: directory, stdio: 'ignore' })
  const path = join(directory, address)
  await until(
    'etcd answers',
    async () => {
      const client = new GrpcClient({ path })
      try {
        await putOver(client, '/bench/first', Buffer.from('x'))
        return true
      } finally {
        client.close()
      }
    },
    30_000,
  )
  return { process: child, path }
}

async function end(served: Served): Promise<void> {
  const gone = new Promise(resolve => served.process.once('exit', resolve))
  served.process.kill('SIGTERM')
  await gone
}

function residentMb({ process: { pid } }: Served): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}
