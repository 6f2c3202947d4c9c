/** The bytes of a blob from whoever has it: one that fails in the middle is followed by the next, from there on. */
import { type BackoffConfig, backoffMs } from '../../../../../base/backoff.ts'
import { type Clock, sleep } from '../../../../../base/clock.ts'
import { Mk8sError } from '../../../../../base/errors.ts'
import type { Descriptor } from './manifests.ts'
import { type ImageSource, NotInRegistry } from './registry-client.ts'

export interface WantedBlob {
  /** In the order in which they are asked. */
  readonly sources: readonly ImageSource[]
  readonly blob: Descriptor
  readonly clock: Clock
}

/** Rounds over all sources in which no byte came. */
const ROUNDS_MAX = 4
/** So often in all, so that a trickle ends too. */
const FAILURES_MAX = 200
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 10_000 }

/** Nothing is checked here but how many bytes there are. */
export async function* wholeBlob({ sources, blob, clock }: WantedBlob): AsyncGenerator<Uint8Array> {
  const left = [...sources]
  let fromByte = 0
  let rounds = 0
  for (let failures = 0, at = 0; ; ) {
    const source = left[at]
    if (source === undefined) throw new NotInRegistry(blob.digest)
    const before = fromByte
    try {
      for await (const chunk of source.blob(blob.digest, fromByte)) {
        fromByte += chunk.length
        yield chunk
      }
      if (fromByte >= blob.size) return
      throw cutShort(blob, fromByte)
    } catch (error) {
      if (error instanceof NotInRegistry) {
        left.splice(at, 1)
        if (left.length === 0) throw error
      } else at++
      if (fromByte > before) rounds = 0
      if (++failures === FAILURES_MAX) throw error
      if (at < left.length) continue
      at = 0
      if (++rounds === ROUNDS_MAX) throw error
      await sleep(clock, backoffMs(RETRY, rounds))
    }
  }
}

const cutShort = ({ digest, size }: Descriptor, bytes: number) =>
  new Mk8sError('kubelet/runtime', `${digest} ended after ${bytes} of ${size} bytes`)
