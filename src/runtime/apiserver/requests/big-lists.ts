/**
 * Long answers share the one thread that serves everybody: a turn of the event loop belongs to one slice of one of
 * them, so that short requests overtake all of them.
 */
import type { BodySink, PushedBody } from '../../../client/transport.ts'
import { tooManyRequests } from '../../../kube/status.ts'
import { pushSlices, SliceMemory, slices } from '../negotiation/slices.ts'

/** Each holds on to what it has yet to send. */
const LISTS_MAX = 200

export interface BigLists {
  /** The body in slices. Throws StatusError 429 when too many are being sent. */
  take(pieces: Iterable<Buffer>, signal?: AbortSignal): PushedBody
  /** Resolves when it is the next slice's turn. */
  turn(): Promise<void>
}

export function createBigLists(): BigLists {
  let sending = 0
  const memory = new SliceMemory()
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
  const pushTo = async (sink: BodySink, pieces: Iterable<Buffer>, signal: AbortSignal | undefined) => {
    sending += 1
    try {
      await pushSlices(pieces, { memory, turn, sink, signal })
    } finally {
      sending -= 1
    }
  }
  return {
    take(pieces, signal) {
      if (sending >= LISTS_MAX) throw tooManyRequests('Too many large lists, please try again later.')
      return {
        [Symbol.asyncIterator]: () => counted(pieces),
        pushTo: sink => pushTo(sink, pieces, signal),
      }
    },
    turn,
  }
}
