/** A driver of devices for tests: a real gRPC server on unix sockets that writes CDI specifications. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Server } from '@grpc/grpc-js'
import { REGISTRATION_PROTO } from '../../src/runtime/kubelet/plugin-registry.ts'
import { DRA_VERSIONS } from '../../src/runtime/kubelet/resource-claims/dra-proto.ts'
import { serve } from './csi-driver.ts'

interface Claim {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface TestDraDriver {
  /** Every call, in its order, as `prepare name` and `unprepare name`. */
  readonly calls: string[]
  /** What it says of the next claims instead of preparing them; empty: nothing. */
  failure: string
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
  const driver: TestDraDriver = { calls: [], failure: '', stop: () => {} }
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
    await serve(endpoint, offered.proto, offered.service, {
      NodePrepareResources: each(prepare),
      NodeUnprepareResources: each(unprepare),
    }),
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
