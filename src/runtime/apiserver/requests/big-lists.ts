/**
 * Long answers share the one thread that serves everybody: a turn of the event loop belongs to one slice of one of
 * them, so that short requests overtake all of them.
 */
import { tooManyRequests } from '../../../kube/status.ts'
import { slices } from '../negotiation/slices.ts'

/** Each holds on to what it has yet to send. */
const LISTS_MAX = 200

export interface BigLists {
  /** The body in slices. Throws StatusError 429 when too many are being sent. */
  take(pieces: Iterable<Buffer>): AsyncIterable<Uint8Array>
  /** Resolves when it is the next slice's turn. */
  turn(): Promise<void>
}

export function createBigLists(): BigLists {
  let sending = 0
  const waiting: (() => void)[] = []
  const next = () => {
    const first = waiting.shift()
    if (waiting.length > 0) setImmediate(next)
    first?.()
  }
  const turn = () =>
    new Promise<void>(resolve => {
      waiting.push(resolve)
      if (waiting.length === 1) setImmediate(next)
    })
  async function* counted(pieces: Iterable<Buffer>): AsyncGenerator<Uint8Array> {
    sending += 1
    try {
      yield* slices(pieces, turn)
    } finally {
      sending -= 1
    }
  }
  return {
    take(pieces) {
      if (sending >= LISTS_MAX) throw tooManyRequests('Too many large lists, please try again later.')
      return counted(pieces)
    },
    turn,
  }
}
