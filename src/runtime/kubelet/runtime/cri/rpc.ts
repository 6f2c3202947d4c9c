/** gRPC over a unix socket: unary calls with a deadline each, and streams. The only place that knows grpc-js. */
import type { Client, Metadata, ServiceDefinition, ServiceError } from '@grpc/grpc-js'
import { must } from '../../../../base/assert.ts'
import type { Clock } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import { parseProto } from './proto-text.ts'

/** gRPC's status codes by number, in the words that Go programs print. */
const CODE_NAMES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const

export type RpcCode = (typeof CODE_NAMES)[number]

/** A call that was answered with an error, or not at all. */
export class RpcError extends Mk8sError {
  readonly rpcCode: RpcCode
  /** The runtime's own words. */
  readonly details: string

  constructor(error: ServiceError) {
    const code = CODE_NAMES[error.code] ?? 'Unknown'
    super('kubelet/runtime', `rpc error: code = ${code} desc = ${error.details}`)
    this.rpcCode = code
    this.details = error.details
  }
}

export const hasRpcCode = (error: unknown, code: RpcCode): boolean =>
  error instanceof RpcError && error.rpcCode === code

export interface CallOptions {
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
  readonly metadata?: Readonly<Record<string, string>>
}

export interface StreamOptions {
  readonly signal: AbortSignal
  readonly metadata?: Readonly<Record<string, string>>
}

const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
const RECONNECT_MS = { min: 50, max: 2_000 }

type Grpc = typeof import('@grpc/grpc-js')

export class RpcChannel {
  readonly #grpc: Grpc
  readonly #client: Client
  readonly #services: ReadonlyMap<string, ServiceDefinition>
  readonly #clock: Clock

  private constructor(parts: {
    readonly grpc: Grpc
    readonly client: Client
    readonly services: ReadonlyMap<string, ServiceDefinition>
    readonly clock: Clock
  }) {
    this.#grpc = parts.grpc
    this.#client = parts.client
    this.#services = parts.services
    this.#clock = parts.clock
  }

  /** Loads the gRPC library; connects at the first call, and again whenever that is needed. */
  static async open(socketPath: string, protos: readonly string[], clock: Clock): Promise<RpcChannel> {
    const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
    const services = new Map<string, ServiceDefinition>()
    for (const text of protos) {
      const loaded = fromJSON(parseProto(text) as Parameters<typeof fromJSON>[0], {
        longs: Number,
        enums: String,
        defaults: true,
      })
      for (const [name, definition] of Object.entries(loaded)) {
        if (!('format' in definition)) services.set(name, definition as ServiceDefinition)
      }
    }
    const client = new grpc.Client(`unix://${socketPath}`, grpc.credentials.createInsecure(), {
      // Servers in Go refuse the socket's path as an authority.
      'grpc.default_authority': 'localhost',
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.initial_reconnect_backoff_ms': RECONNECT_MS.min,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MS.max,
    })
    return new RpcChannel({ grpc, client, services, clock })
  }

  /** `service` with its package, as `runtime.v1.RuntimeService`. Throws RpcError. */
  call<Answer>(service: string, method: string, request: object, options: CallOptions): Promise<Answer> {
    const { path, requestSerialize, responseDeserialize } = this.#method(service, method)
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const call = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      // A runtime that is just being restarted is waited for, within the deadline.
      this.#metadata(options.metadata ?? {}, { waitForReady: true }),
      { deadline: options.deadlineMs === Infinity ? Infinity : this.#clock.now() + options.deadlineMs },
      (error, answer) => (error ? reject(new RpcError(error)) : resolve(answer as Answer)),
    )
    const cancel = () => call.cancel()
    options.signal?.addEventListener('abort', cancel, { once: true })
    return promise.finally(() => options.signal?.removeEventListener('abort', cancel))
  }

  /** Resolves when the server ends the stream or the signal fires; throws RpcError when it breaks. */
  stream<Message>(
    service: string,
    method: string,
    request: object,
    onMessage: (message: Message) => void,
    { signal, metadata = {} }: StreamOptions,
  ): Promise<void> {
    const { path, requestSerialize, responseDeserialize } = this.#method(service, method)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const headers = this.#metadata(metadata)
    const call = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      headers,
    )
    const cancel = () => call.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    call.on('data', (message: Message) => onMessage(message))
    call.on('error', (error: ServiceError) => (signal.aborted ? resolve() : reject(new RpcError(error))))
    call.on('end', resolve)
    return promise.finally(() => signal.removeEventListener('abort', cancel))
  }

  close(): void {
    this.#client.close()
  }

  #method(service: string, method: string) {
    const definition = must(this.#services.get(service), `the service ${service}`)
    return must(definition[method], `the method ${service}/${method}`)
  }

  #metadata(values: Readonly<Record<string, string>>, options: { waitForReady?: boolean } = {}): Metadata {
    const metadata = new this.#grpc.Metadata(options)
    for (const [key, value] of Object.entries(values)) metadata.set(key, value)
    return metadata
  }
}
