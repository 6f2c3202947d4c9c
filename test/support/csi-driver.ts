/** A CSI driver for tests: a real gRPC server on unix sockets that keeps volumes as directories and bind-mounts them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Server as GrpcServer, type Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { CSI_PROTO } from '../../src/runtime/kubelet/csi/csi-proto.ts'
import { REGISTRATION_PROTO } from '../../src/runtime/kubelet/plugin-registry.ts'
import { parseProto } from '../../src/runtime/kubelet/runtime/cri/proto-text.ts'

export interface TestDriver {
  /** Every call, in its order: the method, and what it was asked. */
  readonly calls: { readonly method: string; readonly request: Record<string, unknown> }[]
  /** What the kubelet said of the registration. */
  readonly registered: unknown[]
  /** How many volumes it can attach to the node, from the next time that it is asked on. */
  volumesMax: number
  stop(): void
}

interface Parts {
  readonly name: string
  /** Where the driver's own socket and its volumes lie. */
  readonly directory: string
  readonly registry: string
}

type Handler = (request: Record<string, unknown>) => object | Promise<object>

/** Sockets are in place when it returns. */
export async function startCsiDriver({ name, directory, registry }: Parts): Promise<TestDriver> {
  mkdirSync(directory, { recursive: true })
  mkdirSync(registry, { recursive: true })
  const calls: TestDriver['calls'] = []
  const registered: unknown[] = []
  const servers: Server[] = []
  const driver: TestDriver = {
    calls,
    registered,
    volumesMax: 3,
    stop() {
      for (const server of servers) server.forceShutdown()
      rmSync(join(registry, `${name}-reg.sock`), { force: true })
    },
  }
  const mounts = nodeMethods(directory, () => driver.volumesMax)
  const noting = Object.fromEntries(
    Object.entries(mounts).map(([method, handle]) => [
      method,
      (request: Record<string, unknown>) => {
        calls.push({ method, request })
        return handle(request)
      },
    ]),
  )
  const endpoint = join(directory, 'csi.sock')
  servers.push(await serve(endpoint, CSI_PROTO, 'csi.v1.Node', noting))
  const registration = {
    GetInfo: () => ({ type: 'CSIPlugin', name, endpoint, supportedVersions: ['1.0.0'] }),
    NotifyRegistrationStatus: (status: unknown) => {
      registered.push(status)
      return {}
    },
  }
  const socket = join(registry, `${name}-reg.sock`)
  servers.push(await serve(socket, REGISTRATION_PROTO, REGISTRATION, registration))
  return driver
}

const REGISTRATION = 'pluginregistration.Registration'

const SKILLS = [
  'STAGE_UNSTAGE_VOLUME',
  'GET_VOLUME_STATS',
  'EXPAND_VOLUME',
  'SINGLE_NODE_MULTI_WRITER_SERVICE',
  'VOLUME_MOUNT_GROUP',
]

function nodeMethods(directory: string, volumesMax: () => number): Record<string, Handler> {
  const mount = (source: string, target: string) => {
    mkdirSync(source, { recursive: true })
    mkdirSync(target, { recursive: true })
    if (!isMounted(target)) execFileSync('mount', ['--bind', source, target])
    return {}
  }
  const unmount = (target: string) => {
    if (isMounted(target)) execFileSync('umount', [target])
    rmSync(target, { recursive: true, force: true })
    return {}
  }
  /** A volume `…` of block mode is the loop device of the file `….img`. */
  const publishDevice = (id: string, target: string) => {
    const file = join(directory, `${id}.img`)
    const known = execFileSync('losetup', ['--noheadings', '--output', 'NAME', '--associated', file])
    const device = known.toString().trim() || attach(file)
    writeFileSync(target, '')
    execFileSync('mount', ['--bind', device, target])
    return {}
  }
  const isBlock = (request: Record<string, unknown>) =>
    (request['volumeCapability'] as { block?: object | null }).block != null
  return {
    NodeGetCapabilities: () => ({ capabilities: SKILLS.map(type => ({ rpc: { type } })) }),
    NodeGetInfo: () => ({
      nodeId: 'own-id',
      maxVolumesPerNode: volumesMax(),
      accessibleTopology: { segments: { 'topology.csi.test/rack': 'r1' } },
    }),
    NodeStageVolume: request =>
      isBlock(request)
        ? {}
        : mount(join(directory, String(request['volumeId'])), String(request['stagingTargetPath'])),
    NodeUnstageVolume: ({ stagingTargetPath }) => unmount(String(stagingTargetPath)),
    NodePublishVolume: request => {
      const { volumeId, stagingTargetPath, targetPath } = request
      if (isBlock(request)) return publishDevice(String(volumeId), String(targetPath))
      return mount(String(stagingTargetPath || join(directory, String(volumeId))), String(targetPath))
    },
    NodeUnpublishVolume: ({ targetPath }) => unmount(String(targetPath)),
    NodeExpandVolume: () => ({ capacityBytes: 0 }),
    NodeGetVolumeStats: () => ({
      usage: [
        { available: 900, total: 1000, used: 100, unit: 'BYTES' },
        { available: 9, total: 10, used: 1, unit: 'INODES' },
      ],
      volumeCondition: { abnormal: true, message: 'worn out' },
    }),
  }
}

const attach = (file: string): string => execFileSync('losetup', ['--find', '--show', file]).toString().trim()

const isMounted = (path: string): boolean =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some(line => line.split(' ')[1] === path)

/** A real gRPC server on a unix socket. */
export function serve(
  path: string,
  proto: string,
  service: string,
  handlers: Record<string, Handler>,
  /** Further services of the same socket. */
  extend: (server: Server) => void = () => {},
): Promise<Server> {
  rmSync(path, { force: true })
  const loaded = fromJSON(parseProto(proto) as Parameters<typeof fromJSON>[0], {
    ...{ longs: Number, enums: String, defaults: true },
  })
  const server = new GrpcServer()
  type Call = { readonly request: Record<string, unknown> }
  type Done = (error: Error | null, answer?: object) => void
  const methods = Object.fromEntries(
    Object.entries(handlers).map(([method, handle]) => [
      method,
      async ({ request }: Call, done: Done) => {
        try {
          done(null, await handle(request))
        } catch (error) {
          done(error as Error)
        }
      },
    ]),
  )
  server.addService(loaded[service] as ServiceDefinition, methods)
  extend(server)
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix://${path}`, ServerCredentials.createInsecure(), error =>
      error === null ? resolve(server) : reject(error),
    )
  })
}
