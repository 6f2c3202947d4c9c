/** Waits, for a moment, until this member has applied a revision that a client has seen elsewhere. */
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Store } from '../../store/store.ts'

/** As long as kube-apiserver's cache waits. */
const WAIT_MS = 3_000
const POLL_MS = 20

/** False when the revision has not come in time. */
export async function waitForRevision(store: Store, clock: Clock, revision: number): Promise<boolean> {
  const deadline = clock.monotonic() + WAIT_MS
  while (store.revision < revision) {
    if (clock.monotonic() >= deadline) return false
    await sleep(clock, POLL_MS)
  }
  return true
}
