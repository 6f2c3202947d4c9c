/** A driver of devices for tests: a real gRPC server on unix sockets that writes CDI specifications. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Server, ServerWritableStream, ServiceDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { REGISTRATION_PROTO } from '../../src/runtime/kubelet/plugin-registry.ts'
import {
  DRA_HEALTH_PROTO,
  DRA_HEALTH_SERVICE,
  DRA_VERSIONS,
} from '../../src/runtime/kubelet/resource-claims/dra-proto.ts'
import { parseProto } from '../../src/runtime/kubelet/runtime/cri/proto-text.ts'
import { serve } from './csi-driver.ts'

interface Claim {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

interface ToldDevice {
  readonly pool: string
  readonly device: string
  readonly health: 'HEALTHY' | 'UNHEALTHY'
  readonly message?: string
}

export interface TestDraDriver {
  /** Every call, in its order, as `prepare name` and `unprepare name`. */
  readonly calls: string[]
  /** What it says of the next claims instead of preparing them; empty: nothing. */
  failure: string
  /** Says of devices, by pool and name, whether they are healthy; kubelets that come later hear it, too. */
  tellHealth(devices: readonly ToldDevice[]): void
  /** The socket of its registrar and its own are gone when it returns. */
  stop(): void
}

interface Parts {
  readonly name: string
  /** Where the driver's own socket lies. */
  readonly directory: string
  readonly registry: string
  /** Which version of the protocol it serves; the newest unless given. */
  readonly version?: string
  /** Where it puts CDI specifications; without one it names no CDI devices. */
  readonly cdi?: string
  /** The request and the devices of each claim, from the cluster. */
  readonly devicesOf: (claim: Claim) => Promise<readonly { request: string; pool: string; device: string }[]>
}

/** Sockets are in place when it returns. */
export async function startDraDriver(parts: Parts): Promise<TestDraDriver> {
  const { name, directory, registry, cdi, version = DRA_VERSIONS[0]?.offered ?? '' } = parts
  mkdirSync(directory, { recursive: true })
  mkdirSync(registry, { recursive: true })
  const offered = DRA_VERSIONS.find(each => each.offered === version)
  if (offered === undefined) throw new Error(`there is no version ${version}`)
  const driver: TestDraDriver = { calls: [], failure: '', tellHealth: () => {}, stop: () => {} }
  const specOf = (uid: string) => join(cdi ?? '', `${name}-${uid}.json`)
  const prepare = async (claim: Claim) => {
    driver.calls.push(`prepare ${claim.name}`)
    if (driver.failure !== '') return { error: driver.failure }
    const devices = await parts.devicesOf(claim)
    if (cdi !== undefined) writeSpec(specOf(claim.uid), name, claim.uid, devices)
    return {
      devices: devices.map(({ request, pool, device }) => ({
        ...{ requestNames: [request], poolName: pool, deviceName: device },
        cdiDeviceIds: cdi === undefined ? [] : [`${name}/device=${claim.uid}-${device}`],
      })),
    }
  }
  const unprepare = async (claim: Claim) => {
    driver.calls.push(`unprepare ${claim.name}`)
    if (cdi !== undefined) rmSync(specOf(claim.uid), { force: true })
    return {}
  }
  const each = (work: (claim: Claim) => Promise<object>) => async (request: Record<string, unknown>) => {
    const claims = request['claims'] as readonly Claim[]
    const answers = await Promise.all(claims.map(async claim => [claim.uid, await work(claim)] as const))
    return { claims: Object.fromEntries(answers) }
  }
  const endpoint = join(directory, 'dra.sock')
  const servers: Server[] = [
    await serve(
      endpoint,
      offered.proto,
      offered.service,
      {
        NodePrepareResources: each(prepare),
        NodeUnprepareResources: each(unprepare),
      },
      server => serveHealth(server, driver),
    ),
    await serve(join(registry, `${name}-reg.sock`), REGISTRATION_PROTO, 'pluginregistration.Registration', {
      GetInfo: () => ({ type: 'DRAPlugin', name, endpoint, supportedVersions: [offered.offered] }),
      NotifyRegistrationStatus: () => ({}),
    }),
  ]
  driver.stop = () => {
    for (const server of servers) server.forceShutdown()
    for (const path of [endpoint, join(registry, `${name}-reg.sock`)]) rmSync(path, { force: true })
  }
  return driver
}

/** Containers see which device they have. */
function writeSpec(path: string, name: string, uid: string, devices: readonly { device: string }[]): void {
  mkdirSync(join(path, '..'), { recursive: true })
  const spec = {
    ...{ cdiVersion: '0.6.0', kind: `${name}/device` },
    devices: devices.map(({ device }) => ({
      name: `${uid}-${device}`,
      containerEdits: { env: [`DEVICE=${device}`] },
    })),
  }
  writeFileSync(path, JSON.stringify(spec))
}

function serveHealth(server: Server, driver: TestDraDriver): void {
  const loaded = fromJSON(parseProto(DRA_HEALTH_PROTO) as Parameters<typeof fromJSON>[0], {
    ...{ longs: Number, enums: String, defaults: true },
  })
  const streams = new Set<ServerWritableStream<object, object>>()
  let told: object = { devices: [] }
  server.addService(loaded[DRA_HEALTH_SERVICE] as ServiceDefinition, {
    NodeWatchResources(call: ServerWritableStream<object, object>) {
      streams.add(call)
      call.on('cancelled', () => streams.delete(call))
      call.write(told)
    },
  })
  driver.tellHealth = devices => {
    told = {
      devices: devices.map(({ pool: poolName, device: deviceName, ...rest }) => ({
        ...{ device: { poolName, deviceName }, lastUpdatedTime: 1, healthCheckTimeoutSeconds: 600 },
        ...rest,
      })),
    }
    for (const stream of streams) stream.write(told)
  }
}
