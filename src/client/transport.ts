/** How an API client reaches the API server: over HTTPS, or in process through the API server's own door. */
import type { Duplex } from 'node:stream'

export interface KubeRequest {
  /** GET, POST, PUT, PATCH, DELETE. */
  readonly method: string
  /** Absolute path without query: `/api/v1/namespaces/default/pods`. */
  readonly path: string
  readonly query?: URLSearchParams
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
  /** The Raft term this write belongs to (controllers and scheduler); only the in-process transport carries it. */
  readonly term?: number
}

export interface KubeResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The whole body, or its chunks as they come (a watch, a followed log). Ending iteration early cancels. */
  readonly body: Uint8Array | AsyncIterable<Uint8Array>
  /** With status 101: the raw connection, on which the protocol of the `upgrade` header begins. */
  readonly upgraded?: Duplex
}

/** A body whose pieces can be pushed as well, which costs less than waiting for each: a watch has many readers. */
export interface PushedBody extends AsyncIterable<Uint8Array> {
  /** Instead of an iteration. Resolves when all of it is written, or nobody wants it any more. */
  pushTo(sink: BodySink): Promise<void>
}

export interface BodySink {
  /** False: nothing more, please, before `drained` resolves. `sent`: the piece's memory is free again. */
  write(piece: Uint8Array, sent?: () => void): boolean
  drained(): Promise<void>
}

export interface Transport {
  /** Resolves for every HTTP status; throws `Mk8sError` `api/unreachable` when there was no answer. */
  request(request: KubeRequest): Promise<KubeResponse>
}
