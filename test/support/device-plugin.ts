/** A vendor's device plugin for tests: a real server of the protocol, whose devices the test says. */
import { join } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { systemClock } from '../../src/base/clock.ts'
import { DEVICE_PLUGIN_PROTO } from '../../src/runtime/kubelet/devices/device-proto.ts'
import { parseProto } from '../../src/runtime/kubelet/runtime/cri/proto-text.ts'
import { RpcChannel } from '../../src/runtime/kubelet/runtime/cri/rpc.ts'

export const RESOURCE = 'example.com/thing'
type Answer = (error: null, value: object) => void
type Call = {
  request: { containerRequests: ContainerRequest[]; deviceIds?: string[] }
  write(value: object): void
}
interface ContainerRequest {
  readonly deviceIds: string[]
  readonly availableDeviceIds: string[]
  readonly allocationSize: number
}

export async function startDevicePlugin(directory: string, options: object = {}, { hasCdi = true } = {}) {
  const loaded = fromJSON(parseProto(DEVICE_PLUGIN_PROTO) as Parameters<typeof fromJSON>[0], {
    defaults: true,
  })
  const server = new grpc.Server()
  const begun: string[] = []
  let tell: (healths: Record<string, string>) => void = () => {}
  const methods = {
    GetDevicePluginOptions: (_: Call, answer: Answer) => answer(null, options),
    PreStartContainer({ request }: Call, answer: Answer) {
      begun.push(...(request.deviceIds ?? []))
      answer(null, {})
    },
    // The last ones first, and one that nobody has.
    GetPreferredAllocation({ request }: Call, answer: Answer) {
      const containerResponses = request.containerRequests.map(({ availableDeviceIds, allocationSize }) => ({
        deviceIds: ['nobodys', ...[...availableDeviceIds].reverse().slice(0, allocationSize)],
      }))
      answer(null, { containerResponses })
    },
    ListAndWatch(call: Call) {
      tell = healths =>
        call.write({
          devices: Object.entries(healths).map(([id, health]) => ({
            ...{ id, health },
            topology: { nodes: [{ id: 1 }] },
          })),
        })
      tell({ a: 'Healthy', b: 'Healthy' })
    },
    Allocate({ request }: Call, answer: Answer) {
      const containerResponses = request.containerRequests.map(({ deviceIds }) => ({
        envs: { THINGS: deviceIds.join() },
        devices: [{ containerPath: '/dev/thing', hostPath: '/dev/null', permissions: 'rw' }],
        cdiDevices: hasCdi ? deviceIds.map(id => ({ name: `${RESOURCE}=${id}` })) : [],
      }))
      answer(null, { containerResponses })
    },
  }
  const implementation = methods as unknown as grpc.UntypedServiceImplementation
  server.addService(loaded['v1beta1.DevicePlugin'] as grpc.ServiceDefinition, implementation)
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(
      `unix://${join(directory, 'thing.sock')}`,
      grpc.ServerCredentials.createInsecure(),
      error => (error ? reject(error) : resolve()),
    ),
  )
  return {
    begun,
    tell: (healths: Record<string, string>) => tell(healths),
    async register(resourceName = RESOURCE) {
      const channel = await RpcChannel.open(
        join(directory, 'kubelet.sock'),
        [DEVICE_PLUGIN_PROTO],
        systemClock,
      )
      const request = { version: 'v1beta1', endpoint: 'thing.sock', resourceName }
      const options = { deadlineMs: 20_000 }
      await channel.call('v1beta1.Registration', 'Register', request, options).finally(() => channel.close())
    },
    stop: () => server.forceShutdown(),
  }
}
