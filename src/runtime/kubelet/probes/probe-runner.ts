/** Makes one probe: HTTP, TCP, gRPC or a program in the container. Also carries the HTTP of lifecycle hooks. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as http2Connect } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { createConnection } from 'node:net'
import { messageOf, systemCodeOf } from '../../../base/errors.ts'
import type { Container, HTTPGetAction, Probe } from '../../../kube/types.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { resolvePort } from './plan-probe.ts'

export interface ProbeOutcome {
  readonly ok: boolean
  /** What went wrong, for the Unhealthy event. */
  readonly message: string
}

export interface ProbeTarget {
  readonly runtime: Runtime
  readonly container: Container
  readonly containerId: string
  readonly podAddress: string
}

const BODY_BYTES_MAX = 10 * 1_024
const OK: ProbeOutcome = { ok: true, message: '' }
const failure = (message: string): ProbeOutcome => ({ ok: false, message })

export async function runProbe(probe: Probe, target: ProbeTarget): Promise<ProbeOutcome> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1_000
  try {
    if (probe.exec) return await execProbe(probe.exec.command ?? [], target, timeoutMs)
    if (target.runtime.isVirtual) return await execProbe([], target, timeoutMs)
    if (probe.httpGet) return await httpProbe(probe.httpGet, target, timeoutMs)
    if (probe.tcpSocket) {
      const port = resolvePort(probe.tcpSocket.port, target.container)
      if (port === null) return failure(`port ${probe.tcpSocket.port} is not declared`)
      return await tcpProbe(probe.tcpSocket.host || target.podAddress, port, timeoutMs)
    }
    if (probe.grpc) {
      return await grpcProbe(`${target.podAddress}:${probe.grpc.port}`, probe.grpc.service ?? '', timeoutMs)
    }
    return failure('the probe names no handler')
  } catch (error) {
    return failure(messageOf(error))
  }
}

async function execProbe(
  command: readonly string[],
  { runtime, containerId }: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const result = await runtime.exec(containerId, command, { timeoutMs })
  if (result.timedOut)
    return failure(`command timed out: ${JSON.stringify(command)} timed out after ${timeoutMs / 1_000}s`)
  if (result.exitCode === 0) return OK
  return failure(`${result.stdout}${result.stderr}`.slice(0, BODY_BYTES_MAX))
}

async function httpProbe(
  action: HTTPGetAction,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const answer = await httpGet(action, target, { timeoutMs, agent: 'kube-probe/1.36' })
  if (answer.status >= 200 && answer.status < 400) return OK
  return failure(`HTTP probe failed with statuscode: ${answer.status}`)
}

/** One GET whose certificate, if any, is not checked. Rejects with upstream's words. */
export async function httpGet(
  action: HTTPGetAction,
  { container, podAddress }: Pick<ProbeTarget, 'container' | 'podAddress'>,
  options: { readonly timeoutMs: number; readonly agent: string },
): Promise<{ readonly status: number }> {
  const port = resolvePort(action.port, container)
  if (port === null) throw new Error(`port ${action.port} is not declared`)
  const isTls = action.scheme === 'HTTPS'
  const host = action.host || podAddress
  const path = action.path?.startsWith('/') ? action.path : `/${action.path ?? ''}`
  const url = `${isTls ? 'https' : 'http'}://${host}:${port}${path}`
  const headers: Record<string, string> = { 'user-agent': options.agent, accept: '*/*', connection: 'close' }
  for (const { name, value } of action.httpHeaders ?? []) headers[name.toLowerCase()] = value
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number }>()
  const signal = AbortSignal.timeout(options.timeoutMs)
  const settings = { host, port, path, headers, signal, agent: false as const }
  const onAnswer = (answer: IncomingMessage) => {
    let size = 0
    answer.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > BODY_BYTES_MAX) answer.destroy()
    })
    answer.on('error', () => {})
    resolve({ status: answer.statusCode ?? 0 })
  }
  const outgoing = isTls
    ? httpsRequest({ ...settings, rejectUnauthorized: false }, onAnswer)
    : httpRequest(settings, onAnswer)
  outgoing.on('error', error => {
    const late = `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
    const refused = `Get "${url}": dial tcp ${host}:${port}: connect: connection refused`
    const isRefused = systemCodeOf(error) === 'ECONNREFUSED'
    reject(new Error(signal.aborted ? late : isRefused ? refused : `Get "${url}": ${error.message}`))
  })
  outgoing.end()
  return promise
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeOutcome> {
  return new Promise(resolve => {
    const socket = createConnection({ host, port, timeout: timeoutMs })
    const end = (outcome: ProbeOutcome) => {
      socket.destroy()
      resolve(outcome)
    }
    socket.once('connect', () => end(OK))
    socket.once('timeout', () => end(failure(`dial tcp ${host}:${port}: i/o timeout`)))
    socket.once('error', error => {
      const isRefused = systemCodeOf(error) === 'ECONNREFUSED'
      end(failure(`dial tcp ${host}:${port}: ${isRefused ? 'connect: connection refused' : error.message}`))
    })
  })
}

/** grpc.health.v1.Health/Check: a message of one string, answered by a message of one number (1: serving). */
function grpcProbe(authority: string, service: string, timeoutMs: number): Promise<ProbeOutcome> {
  const name = Buffer.from(service)
  if (name.length > 127) return Promise.resolve(failure('the service name is too long'))
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message])
  return new Promise(resolve => {
    const session = http2Connect(`http://${authority}`)
    const end = (outcome: ProbeOutcome) => {
      session.destroy()
      resolve(outcome)
    }
    session.once('error', error => end(failure(`failed to connect service "${authority}": ${error.message}`)))
    session.setTimeout(timeoutMs, () =>
      end(failure(`timeout: failed to connect service "${authority}" within ${timeoutMs / 1_000}s`)),
    )
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.once('error', error => end(failure(error.message)))
    stream.once('end', () => {
      const body = Buffer.concat(chunks).subarray(5)
      const isServing = body[0] === 0x08 && body[1] === 0x01
      end(isServing ? OK : failure('service unhealthy (responded with a status other than "SERVING")'))
    })
    stream.end(frame)
  })
}
