/** Many calls of which the first may show that all would fail. */

/** The first batch; each batch that succeeds doubles it. */
const FIRST_BATCH = 1

/** One first, then twice as many at a time; ends after the batch in which one failed, with its error. */
export async function inSlowStart<T>(
  items: readonly T[],
  run: (item: T) => Promise<void>,
): Promise<unknown | undefined> {
  for (let at = 0, size = FIRST_BATCH; at < items.length; at += size, size *= 2) {
    const results = await Promise.allSettled(items.slice(at, at + size).map(run))
    const refused = results.find(result => result.status === 'rejected')
    if (refused !== undefined) return refused.reason
  }
  return undefined
}
