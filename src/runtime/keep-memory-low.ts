/** Has a server's process give back memory that it no longer needs in its idle seconds. */
import { systemClock, type Timer } from '../base/clock.ts'
import { collectYoung, reduceMemorySooner, releaseFreed } from '../host/process-memory.ts'
import { giveBackWhenIdle } from './idle-memory.ts'

/** Before other threads are started. */
export function keepMemoryLow(): Timer {
  reduceMemorySooner()
  let seen = performance.eventLoopUtilization()
  return giveBackWhenIdle({
    clock: systemClock,
    resident: () => process.memoryUsage.rss(),
    workedShare() {
      const before = seen
      seen = performance.eventLoopUtilization()
      return performance.eventLoopUtilization(seen, before).utilization
    },
    collectYoung,
    releaseFreed,
  })
}
