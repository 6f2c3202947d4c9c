/** How many short requests may be under way at once; one more is answered 429. Long-running ones are not counted. */
import { tooManyRequests } from '../../../kube/status.ts'

/** As kube-apiserver's defaults. */
const READS_MAX = 400
const WRITES_MAX = 200
const RETRY_AFTER_SECONDS = 1

export interface InFlight {
  /** Takes a place; the function gives it back. Throws StatusError 429 when there is none. */
  enter(request: { readonly isWrite: boolean; readonly isExempt: boolean }): () => void
}

export function createInFlight(limits = { reads: READS_MAX, writes: WRITES_MAX }): InFlight {
  const busy = { reads: 0, writes: 0 }
  return {
    enter({ isWrite, isExempt }) {
      const lane = isWrite ? 'writes' : 'reads'
      if (busy[lane] >= limits[lane] && !isExempt) {
        throw tooManyRequests('Too many requests, please try again later.', RETRY_AFTER_SECONDS)
      }
      busy[lane] += 1
      return () => {
        busy[lane] -= 1
      }
    },
  }
}
