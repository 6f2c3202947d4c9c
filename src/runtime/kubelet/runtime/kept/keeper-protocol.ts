/**
 * What the daemon and the keeper of a container say to each other, over a local endpoint: one connection for one
 * request, a line of JSON, and then frames of `kind u8 · length u32 · bytes` in both directions. Pure.
 */
import type { FamilyUsage } from '../../../../host/process-family.ts'

export type KeeperRequest =
  /** Answered with `state`, and once more when the container has ended. */
  | { readonly do: 'watch' }
  | { readonly do: 'signal'; readonly signal: NodeJS.Signals }
  | { readonly do: 'reopen' }
  | { readonly do: 'usage' }
  | { readonly do: 'attach'; readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean }
  /** The program ends with the connection. */
  | { readonly do: 'exec'; readonly command: readonly string[]; readonly stdin: boolean }

/** Sent in frames of the kind `state`. */
export interface KeeperState {
  /** Of the container's program; absent until it runs. */
  readonly pid?: number
  /** Why it could not be started. */
  readonly failed?: string
  readonly exitCode?: number
  readonly usage?: FamilyUsage
}

export const FRAME = { stdin: 0, stdout: 1, stderr: 2, state: 3, stdinEnd: 4 } as const
export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

const HEAD_BYTES = 5
/** Larger than anything that a stream gives at once. */
const FRAME_BYTES_MAX = 4 * 1024 * 1024
const REQUEST_BYTES_MAX = 1024 * 1024
const NEWLINE = 0x0a

export function frame(kind: FrameKind, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(kind, 0)
  head.writeUInt32LE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

export const stateFrame = (state: KeeperState): Buffer =>
  frame(FRAME.state, Buffer.from(JSON.stringify(state)))

export const parseState = (bytes: Uint8Array): KeeperState =>
  JSON.parse(Buffer.from(bytes).toString('utf8')) as KeeperState

/** Cuts what comes into a first line, where there is one, and frames. Throws at what is too long. */
export class Cutter {
  #rest = Buffer.alloc(0)
  #line: boolean

  constructor({ hasLine }: { readonly hasLine: boolean }) {
    this.#line = hasLine
  }

  take(
    chunk: Uint8Array,
    on: { line?(text: string): void; frame(kind: FrameKind, bytes: Buffer): void },
  ): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    if (this.#line) {
      const end = this.#rest.indexOf(NEWLINE)
      if (end === -1 && this.#rest.length > REQUEST_BYTES_MAX) throw new Error('a request is too long')
      if (end === -1) return
      const text = this.#rest.subarray(0, end).toString('utf8')
      this.#rest = this.#rest.subarray(end + 1)
      this.#line = false
      on.line?.(text)
    }
    while (this.#rest.length >= HEAD_BYTES) {
      const length = this.#rest.readUInt32LE(1)
      if (length > FRAME_BYTES_MAX) throw new Error('a frame is too long')
      if (this.#rest.length < HEAD_BYTES + length) return
      const kind = this.#rest.readUInt8(0) as FrameKind
      const bytes = this.#rest.subarray(HEAD_BYTES, HEAD_BYTES + length)
      this.#rest = this.#rest.subarray(HEAD_BYTES + length)
      on.frame(kind, bytes)
    }
  }
}
