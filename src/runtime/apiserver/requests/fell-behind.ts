/**
 * What this member refuses out of its own memory may be right after all: the client may have seen, through another
 * server, what has yet to be applied here.
 */
import type { Store } from '../../store/store.ts'

/** Catches up; true when there was something to catch up with, so that it is worth looking again. */
export async function fellBehind(
  store: Pick<Store, 'revision' | 'barrier'>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const before = store.revision
  await store.barrier(signal)
  return store.revision > before
}
