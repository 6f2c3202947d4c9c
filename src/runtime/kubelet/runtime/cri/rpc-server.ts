/** gRPC the other way round: a service of ours on a unix socket, for plugins that call the kubelet. */
import { createServer, type Socket } from 'node:net'
import type { Server, ServiceDefinition } from '@grpc/grpc-js'
import { must } from '../../../../base/assert.ts'
import { messageOf } from '../../../../base/errors.ts'
import { parseProto } from './proto-text.ts'

export type RpcHandler = (request: object) => Promise<object>

/** Writes until it is closed, which its signal tells. */
export type RpcStreamHandler = (write: (message: object) => void, closed: AbortSignal) => void

export interface RpcService {
  readonly proto: string
  /** With its package. */
  readonly service: string
  /** Unary ones, by name; what they throw is the caller's error. */
  readonly methods: Readonly<Record<string, RpcHandler>>
  /** Those that answer with a stream. */
  readonly streams?: Readonly<Record<string, RpcStreamHandler>>
}

/**
 * Returns how to close it. The caller takes an old socket away. The gRPC library is loaded when the first caller comes:
 * most nodes never have one, and it would cost them some megabytes.
 */
export async function serveRpc(socketPath: string, service: RpcService): Promise<{ close(): void }> {
  let injecting: Promise<Injector> | undefined
  const connections = new Set<Socket>()
  const server = createServer(connection => {
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
    connection.on('error', () => {})
    injecting ??= makeInjector(service)
    injecting.then(
      injector => injector.injectConnection(connection),
      () => connection.destroy(),
    )
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(socketPath, resolve)
  await promise
  return {
    close() {
      server.close()
      for (const connection of connections) connection.destroy()
      void injecting?.then(injector => injector.destroy()).catch(() => {})
    },
  }
}

type Injector = ReturnType<Server['createConnectionInjector']>

async function makeInjector({ proto, service, methods, streams = {} }: RpcService): Promise<Injector> {
  const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
  const options = { longs: Number, enums: String, defaults: true }
  const loaded = fromJSON(parseProto(proto) as Parameters<typeof fromJSON>[0], options)
  const server = new grpc.Server()
  const handlers = Object.entries(methods).map(([name, handler]) => [
    name,
    (call: { request: object }, answer: (error: object | null, value?: object) => void) =>
      void handler(call.request).then(
        value => answer(null, value),
        error => answer({ code: grpc.status.INVALID_ARGUMENT, details: messageOf(error) }),
      ),
  ])
  const definition = must(loaded[service], `the service ${service}`) as ServiceDefinition
  const writers = Object.entries(streams).map(([name, handler]) => [name, streamOf(handler)])
  server.addService(definition, Object.fromEntries([...handlers, ...writers]))
  return server.createConnectionInjector(grpc.ServerCredentials.createInsecure())
}

interface WritableCall {
  write(message: object): void
  on(event: 'cancelled' | 'close' | 'error', listener: () => void): void
}

function streamOf(handler: RpcStreamHandler): (call: WritableCall) => void {
  return call => {
    const closed = new AbortController()
    for (const event of ['cancelled', 'close', 'error'] as const) call.on(event, () => closed.abort())
    handler(message => call.write(message), closed.signal)
  }
}
