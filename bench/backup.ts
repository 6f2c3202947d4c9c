/**
 * Backups of one server with 30,000 objects (60 MB): how long the command takes, what it costs those who write
 * meanwhile, and how much memory the daemon needs for it. Writers go through etcd's API, as the fastest way
 * in. It is the executable that is measured: the start of a command is part of what it takes.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installCluster, type TestCluster } from '../test/support/cluster.ts'
import { GrpcClient } from '../test/support/grpc-client.ts'
import { type Figure, median } from './figure.ts'
import { putOver } from './put-load.ts'
import { residentMb } from './raft-served.ts'

const root = join(import.meta.dirname, '..')
const OBJECTS = 30_000
const OBJECT_BYTES = 2_000
const FILLERS = 64
const WRITERS = 8
const RUNS = 5
const RESTORES = 3
/** How long writers run before and after each backup. */
const SETTLE_MS = 1_000
const MEMORY_LOOK_MS = 10
const SECONDS_MAX = 2
const RESTORE_SECONDS_MAX = 5
const LOST_PERCENT_MAX = 20
const MEMORY_MB_MAX = 64

const nextLook = (delayMs: number) => new Promise<void>(resolve => setTimeout(resolve, delayMs))

export async function measure(): Promise<Figure[]> {
  execFileSync(process.execPath, ['packaging/package.ts', 'linux-x64'], {
    cwd: root,
    stdio: ['ignore', 2, 'inherit'],
  })
  const program = join(root, 'dist/mk8s-linux-x64')
  const cluster = await installCluster({ program, args: ['--etcd-listen', 'unix'] })
  try {
    const client = new GrpcClient({ path: join(cluster.dataDir, 'run', 'etcd.sock') })
    await fill(client)
    const figures = [...(await measureCommand(cluster)), ...(await measureWriters(cluster, client))]
    client.close()
    return [...figures, await measureRestore(cluster)]
  } finally {
    await cluster.remove()
  }
}

async function fill(client: GrpcClient): Promise<void> {
  let at = 0
  const write = async () => {
    while (at < OBJECTS) await putObject(client, at++)
  }
  await Promise.all(Array.from({ length: FILLERS }, write))
}

/** A ConfigMap as the API server stores it. */
async function putObject(client: GrpcClient, number: number): Promise<void> {
  const name = `object-${String(number).padStart(6, '0')}`
  const metadata = {
    name,
    namespace: 'default',
    uid: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
  }
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { filler: '' } }
  object.data.filler = letters(number, OBJECT_BYTES - JSON.stringify(object).length - 1)
  await putOver(
    client,
    `/registry/core/configmaps/default/${name}`,
    Buffer.from(`\x01${JSON.stringify(object)}`),
  )
}

const letters = (seed: number, length: number): string =>
  Array.from({ length }, (_, at) => String.fromCharCode(97 + ((seed * 7 + at * at) % 26))).join('')

async function backup(cluster: TestCluster, args: readonly string[] = []): Promise<number> {
  const file = join(cluster.dataDir, '..', 'bench.mk8sbackup')
  const start = performance.now()
  const { code, stderr } = await cluster.mk8s(['backup-datastore', '-o', file, ...args])
  const seconds = (performance.now() - start) / 1000
  rmSync(file, { force: true })
  if (code !== 0) throw new Error(`the backup failed: ${stderr}`)
  return seconds
}

async function measureCommand(cluster: TestCluster): Promise<Figure[]> {
  const passphrase = join(cluster.dataDir, '..', 'passphrase')
  writeFileSync(passphrase, 'bench\n', { mode: 0o600 })
  const pid = Number(readFileSync(join(cluster.dataDir, 'run', 'daemon.pid'), 'utf8').split(/\s/)[0])
  const [plain, sealed, memory]: [number[], number[], number[]] = [[], [], []]
  for (let run = 0; run < RUNS; run++) {
    const idle = residentMb({ pid, path: '' })
    let most = idle
    let over = false
    const looks = (async () => {
      for (; !over; await nextLook(MEMORY_LOOK_MS)) most = Math.max(most, residentMb({ pid, path: '' }))
    })()
    plain.push(await backup(cluster))
    sealed.push(await backup(cluster, ['--passphrase-file', passphrase]))
    over = true
    await looks
    memory.push(most - idle)
  }
  const what = `${OBJECTS} objects (${(OBJECTS * OBJECT_BYTES) / 1e6} MB)`
  const seconds = { peer: null, unit: 's', goal: SECONDS_MAX }
  return [
    { figure: `backup of ${what}`, us: median(plain), ...seconds },
    { figure: `encrypted backup of ${what}`, us: median(sealed), ...seconds },
    {
      figure: 'memory of the daemon during a backup, above idle',
      us: Math.max(...memory),
      peer: null,
      unit: 'MB',
      goal: MEMORY_MB_MAX,
    },
  ]
}

/** The command, which returns once the node is Ready with the restored state. */
async function measureRestore(cluster: TestCluster): Promise<Figure> {
  const file = join(cluster.dataDir, '..', 'restore.mk8sbackup')
  const made = await cluster.mk8s(['backup-datastore', '-o', file])
  if (made.code !== 0) throw new Error(`the backup failed: ${made.stderr}`)
  const took: number[] = []
  for (let run = 0; run < RESTORES; run++) {
    const start = performance.now()
    const { code, stderr } = await cluster.mk8s(['restore-datastore', file, '--yes'])
    took.push((performance.now() - start) / 1000)
    if (code !== 0) throw new Error(`the restore failed: ${stderr}`)
  }
  return {
    figure: `restore of ${OBJECTS} objects, to ready`,
    us: median(took),
    peer: null,
    unit: 's',
    goal: RESTORE_SECONDS_MAX,
  }
}

/** The rate during a backup against the rate right before and right after it. */
async function measureWriters(cluster: TestCluster, client: GrpcClient): Promise<Figure[]> {
  const done: number[] = []
  let over = false
  const write = async (writer: number) => {
    for (let count = 0; !over; count++) {
      await putObject(client, writer * 1000 + (count % 1000))
      done.push(performance.now())
    }
  }
  const writers = Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
  const rate = (from: number, to: number) =>
    (1000 * done.filter(at => at >= from && at < to).length) / (to - from)
  const lost: number[] = []
  const took: number[] = []
  for (let run = 0; run < RUNS; run++) {
    await nextLook(SETTLE_MS)
    const start = performance.now()
    took.push(await backup(cluster))
    const end = performance.now()
    await nextLook(SETTLE_MS)
    const calm = (rate(start - SETTLE_MS, start) + rate(end, end + SETTLE_MS)) / 2
    lost.push(100 * (1 - rate(start, end) / calm))
    process.stderr.write(`writes: ${Math.round(calm)}/s, during a backup ${Math.round(rate(start, end))}/s\n`)
  }
  over = true
  await writers
  return [
    { figure: 'backup under load', us: median(took), peer: null, unit: 's', goal: SECONDS_MAX },
    {
      figure: `rate that ${WRITERS} writers lose during a backup`,
      us: median(lost),
      peer: null,
      unit: '%',
      goal: LOST_PERCENT_MAX,
    },
  ]
}
