/** How long writing stops when something happens to the leader, measured through a member to which nothing does. */
import { performance } from 'node:perf_hooks'
import type { StoreCluster } from './store-cluster.ts'
import { MemberError, MemberGone, type StoreMember } from './store-member.ts'
import { until } from './until.ts'

export interface TimesMs {
  readonly count: number
  readonly median: number
  readonly p95: number
  readonly worst: number
}

export function timesOf(times: readonly number[]): TimesMs {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { count: sorted.length, median: at(0.5), p95: at(0.95), worst: at(1) }
}

export function describeTimes({ count, median, p95, worst }: TimesMs): string {
  const [middle, high, highest] = [median, p95, worst].map(time => time.toFixed(0))
  return `${count} times, ms: median ${middle}, p95 ${high}, worst ${highest}`
}

/** Milliseconds from the blow to an acknowledged write that was begun after it, through another member. */
export async function failover(
  cluster: StoreCluster,
  strike: (leader: StoreMember) => unknown,
): Promise<{ readonly leader: StoreMember; readonly milliseconds: number }> {
  const leader = await cluster.leader()
  const { membership } = await leader.call('status')
  const survivor = cluster.serving.find(member => member !== leader && membership.voters.includes(member.id))
  if (survivor === undefined) throw new Error('nobody is left')
  const before = performance.now()
  const struck = strike(leader)
  await acknowledged(survivor)
  const milliseconds = performance.now() - before
  await struck
  return { leader, milliseconds }
}

/** A write through this member is acknowledged, however often it has to be tried. */
export async function acknowledged(member: StoreMember, deadlineMs?: number): Promise<void> {
  let attempts = 0
  await until(
    `member ${member.id} acknowledges a write`,
    async () => {
      try {
        return (await member.put('acknowledged', `${++attempts}`)).succeeded
      } catch (error) {
        if (error instanceof MemberError || error instanceof MemberGone) return false
        throw error
      }
    },
    deadlineMs,
  )
}
