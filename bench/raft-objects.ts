/** Memory and restart of one member with many objects, beside one etcd with the same. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GrpcClient } from '../test/support/grpc-client.ts'
import type { Figure } from './figure.ts'
import { putOver } from './put-load.ts'
import { EtcdCluster, hasEtcd, putOnce, residentMb, type Served } from './raft-served.ts'

const OBJECTS = 100_000
const OBJECT_BYTES = 2048
const OBJECT_WRITERS = 128
const MEMORY_MB_MAX = 400
const RESTART_SECONDS_MAX = 3
/** What writing needed for a moment is given back in idle seconds; both get as many. */
const SETTLE_MS = 15_000

interface Measured {
  readonly memoryMb: number
  readonly restartSeconds: number
}

export async function measureObjects(directory: string): Promise<Figure[]> {
  const ours = await measureOurs(directory)
  const peer = hasEtcd() ? await measureEtcd(join(directory, 'etcd-objects')) : null
  const what = `${OBJECTS} objects of ${OBJECT_BYTES} bytes`
  return [
    {
      figure: `memory of ${what}`,
      us: ours.memoryMb,
      peer: peer?.memoryMb ?? null,
      unit: 'MB',
      goal: MEMORY_MB_MAX,
    },
    {
      figure: `restart with ${what}, until a put is answered`,
      us: ours.restartSeconds,
      peer: peer?.restartSeconds ?? null,
      unit: 's',
      goal: RESTART_SECONDS_MAX,
    },
  ]
}

async function measureOurs(directory: string): Promise<Measured> {
  const empty = await startMember(join(directory, 'empty'), 0)
  const emptyMb = residentMb(empty)
  await end(empty)
  const home = join(directory, 'objects')
  const loaded = await startMember(home, OBJECTS)
  await sleep(SETTLE_MS)
  const memoryMb = residentMb(loaded) - emptyMb
  await end(loaded)
  const before = performance.now()
  const again = await startMember(home, 0)
  await putOnce(again.path)
  const restartSeconds = (performance.now() - before) / 1000
  await end(again)
  return { memoryMb, restartSeconds }
}

async function measureEtcd(home: string): Promise<Measured> {
  const etcd = await EtcdCluster.start(home, 1)
  try {
    const served = await etcd.leader()
    const emptyMb = residentMb(served)
    const client = new GrpcClient(served)
    const value = Buffer.alloc(OBJECT_BYTES, 'x')
    const write = async (writer: number) => {
      for (let at = writer; at < OBJECTS; at += OBJECT_WRITERS) {
        await putOver(client, `/bench/object-${String(at).padStart(9, '0')}`, value)
      }
    }
    await Promise.all(Array.from({ length: OBJECT_WRITERS }, (_, writer) => write(writer)))
    client.close()
    await sleep(SETTLE_MS)
    const memoryMb = residentMb(served) - emptyMb
    await etcd.kill(served)
    const before = performance.now()
    await etcd.startAll()
    return { memoryMb, restartSeconds: (performance.now() - before) / 1000 }
  } finally {
    await etcd.close()
  }
}

interface Member extends Served {
  readonly process: ChildProcess
}

async function startMember(directory: string, objects: number): Promise<Member> {
  const program = join(import.meta.dirname, 'raft-member.ts')
  const args = [program, directory, String(objects), String(OBJECT_BYTES)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve())
    child.once('exit', code => reject(new Error(`the member ended with code ${code}`)))
  })
  return { process: child, pid: child.pid ?? 0, path: join(directory, 'etcd.sock') }
}

/** With SIGKILL, so that the next life has a log to replay. */
async function end({ process: child }: Member): Promise<void> {
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
