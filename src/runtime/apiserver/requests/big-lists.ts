/** Long lists are sent a few at a time; the others wait their turn, and too many waiting are refused. */
import { tooManyRequests } from '../../../kube/status.ts'

const SENDING_MAX = 8
const WAITING_MAX = 200

export interface BigLists {
  /** The body, which begins when it is its turn. Throws StatusError 429 when too many wait. */
  take(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
}

export function createBigLists(): BigLists {
  let sending = 0
  const waiting: (() => void)[] = []
  async function* inTurn(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    if (sending >= SENDING_MAX) await new Promise<void>(resolve => waiting.push(resolve))
    else sending += 1
    try {
      yield* body
    } finally {
      const next = waiting.shift()
      if (next === undefined) sending -= 1
      else next()
    }
  }
  return {
    take(body) {
      if (waiting.length >= WAITING_MAX)
        throw tooManyRequests('Too many large lists, please try again later.')
      return inTurn(body)
    },
  }
}
