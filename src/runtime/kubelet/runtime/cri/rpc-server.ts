/** gRPC the other way round: a service of ours on a unix socket, for plugins that call the kubelet. */
import type { ServiceDefinition } from '@grpc/grpc-js'
import { must } from '../../../../base/assert.ts'
import { messageOf } from '../../../../base/errors.ts'
import { parseProto } from './proto-text.ts'

export type RpcHandler = (request: object) => Promise<object>

export interface RpcService {
  readonly proto: string
  /** With its package. */
  readonly service: string
  /** Unary ones, by name; what they throw is the caller's error. */
  readonly methods: Readonly<Record<string, RpcHandler>>
}

/** Loads the gRPC library. The caller takes an old socket away. Returns how to close it. */
export async function serveRpc(socketPath: string, { proto, service, methods }: RpcService) {
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
  server.addService(definition, Object.fromEntries(handlers))
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const credentials = grpc.ServerCredentials.createInsecure()
  server.bindAsync(`unix://${socketPath}`, credentials, error => (error ? reject(error) : resolve()))
  await promise
  return { close: () => server.forceShutdown() }
}
