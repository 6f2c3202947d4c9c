/**
 * What still comes on streams that are over. An honest client may not have read yet that a stream is, and what it
 * sends meanwhile fits into the window that it was granted: whoever sends more does not listen.
 */
import { Http2Error, http2Errors } from './errors.ts'

/** Frames that no window bounds; an honest client sends an end, and trailers. */
const BARE_FRAMES_MAX = 1_000
/** Streams to remember; the one that began to be late first is forgotten for another. */
const STREAMS_REMEMBERED_MAX = 4_096

export class LateFrames {
  readonly #windowBytes: number
  readonly #late = new Map<number, { bytes: number; bare: number }>()

  /** `windowBytes`: how much a client may have been granted on one stream. */
  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes
  }

  /** Throws when an honest client cannot have sent that. */
  take(stream: number, bytes: number): void {
    const late = this.#late.get(stream) ?? this.#remember(stream)
    late.bytes += bytes
    if (bytes === 0) late.bare++
    if (late.bytes > this.#windowBytes) {
      throw new Http2Error(
        http2Errors.flowControl,
        `more than its window came on stream ${stream}, which is over`,
      )
    }
    if (late.bare > BARE_FRAMES_MAX) {
      throw new Http2Error(http2Errors.enhanceYourCalm, `stream ${stream} is over, and frames keep coming`)
    }
  }

  #remember(stream: number): { bytes: number; bare: number } {
    const [first] = this.#late.keys()
    if (first !== undefined && this.#late.size >= STREAMS_REMEMBERED_MAX) this.#late.delete(first)
    const late = { bytes: 0, bare: 0 }
    this.#late.set(stream, late)
    return late
  }
}
