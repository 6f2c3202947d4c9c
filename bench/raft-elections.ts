/** Whether full load makes anybody stand for election, and what the timers do meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreCluster } from '../test/support/store-cluster.ts'
import type { Figure } from './figure.ts'
import { servedOf } from './raft-puts.ts'
import { LoadClient } from './raft-served.ts'

const LOAD_MS = 5_000
const SAMPLE_MS = 250
const MINUTE_MS = 60_000

export async function measureElections(directory: string, minutes: number): Promise<Figure[]> {
  const cluster = await StoreCluster.start({ size: 3, directory, etcd: true })
  const client = new LoadClient()
  try {
    const leader = await cluster.leader()
    const { term } = await leader.call('status')
    const timeouts: number[] = []
    const flushes: number[] = []
    const end = performance.now() + minutes * MINUTE_MS
    const sampling = (async () => {
      while (performance.now() < end) {
        const statuses = await Promise.all(cluster.members.map(member => member.call('status')))
        timeouts.push(...statuses.map(({ timing }) => timing.electionMs))
        flushes.push(...statuses.map(({ timing }) => timing.flushWorstMs))
        await sleep(SAMPLE_MS)
      }
    })()
    while (performance.now() < end) {
      const load = { milliseconds: LOAD_MS, valueBytes: 1024 }
      await Promise.all([
        leader.load({ ...load, writers: 128 }),
        client.run(servedOf(leader).path, { ...load, writers: 16 }),
      ])
    }
    await sampling
    const after = await leader.call('status')
    const over = `${minutes} minutes of full load`
    const shown = (figure: string, us: number): Figure => {
      return { figure: `${figure} in ${over}`, us, peer: null, unit: 'ms', goal: Number.POSITIVE_INFINITY }
    }
    return [
      { figure: `elections in ${over}`, us: after.term - term, peer: null, unit: '', goal: 0 },
      shown('shortest election timeout', Math.min(...timeouts)),
      shown('longest election timeout', Math.max(...timeouts)),
      shown('longest flush', Math.max(...flushes)),
    ]
  } finally {
    client.close()
    await cluster.close()
  }
}
