/** Waits for a condition with a generous deadline, instead of sleeping. */

const DEADLINE_MS = 120_000
const INTERVAL_MS = 25
/** A probe that takes long, such as a program, is asked again after as long a pause: the machine has other work. */
const INTERVAL_MS_MAX = 250

/** The first value of `probe` that is neither false, null nor undefined; throws with `what` at the deadline. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const end = performance.now() + deadlineMs
  let last: unknown
  while (performance.now() < end) {
    const begun = performance.now()
    try {
      const value = await probe()
      if (value !== false && value !== null && value !== undefined) return value
      last = value
    } catch (error) {
      last = error
    }
    const pauseMs = Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS, performance.now() - begun))
    await new Promise(resolve => setTimeout(resolve, pauseMs))
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}; last seen: ${String(last)}`)
}
