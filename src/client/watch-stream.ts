/** Turns the chunks of a watch response into events: one JSON document per line. */
import { Mk8sError } from '../base/errors.ts'
import type { KubeObject } from '../kube/object.ts'

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'

export interface WatchEvent<T extends KubeObject = KubeObject> {
  readonly type: WatchEventType
  /** For ERROR a Status. */
  readonly object: T
}

/** One event must fit into this; the API server's own limit for objects is far below. */
const WATCH_LINE_BYTES_MAX = 16 * 1024 * 1024
const NEWLINE = 0x0a

/** Yields every complete line's event in order; an unfinished last line is dropped. */
export async function* parseWatchStream<T extends KubeObject>(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<WatchEvent<T>> {
  let rest: Buffer[] = []
  let restBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let end = buffer.indexOf(NEWLINE); end !== -1; end = buffer.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...rest, buffer.subarray(start, end)])
      rest = []
      restBytes = 0
      start = end + 1
      if (line.length > 0) yield JSON.parse(line.toString('utf8')) as WatchEvent<T>
    }
    if (start === buffer.length) continue
    rest.push(buffer.subarray(start))
    restBytes += buffer.length - start
    if (restBytes > WATCH_LINE_BYTES_MAX) {
      throw new Mk8sError('api/unreachable', `a watch event is larger than ${WATCH_LINE_BYTES_MAX} bytes`)
    }
  }
}
