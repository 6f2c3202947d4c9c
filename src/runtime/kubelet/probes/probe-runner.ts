/** Makes one probe: HTTP, TCP, gRPC or a program in the container. */
import { createConnection } from 'node:net'
import { bracketed } from '../../../base/bracketed.ts'
import { messageOf, systemCodeOf } from '../../../base/errors.ts'
import type { Container, HTTPGetAction, Probe } from '../../../kube/types.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { grpcProbe } from './grpc-probe.ts'
import { httpGet } from './http-get.ts'
import { mustPort } from './plan-probe.ts'

/** `warning` counts as success and is told; `unknown` says nothing about the container, and counts for nothing. */
export interface ProbeOutcome {
  readonly result: 'success' | 'warning' | 'failure' | 'unknown'
  /** What went wrong, for an event. */
  readonly message: string
}

export interface ProbeTarget {
  readonly runtime: Runtime
  readonly container: Container
  readonly containerId: string
  readonly podAddress: string
}

const OUTPUT_BYTES_MAX = 10 * 1_024
const SUCCESS: ProbeOutcome = { result: 'success', message: '' }
const failure = (message: string): ProbeOutcome => ({ result: 'failure', message })

export async function runProbe(probe: Probe, target: ProbeTarget): Promise<ProbeOutcome> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1_000
  try {
    if (probe.exec) return await execProbe(probe.exec.command ?? [], target, timeoutMs)
    if (target.runtime.isVirtual) return await execProbe([], target, timeoutMs)
    if (probe.httpGet) return await httpProbe(probe.httpGet, target, timeoutMs)
    if (probe.tcpSocket) {
      const port = mustPort(probe.tcpSocket.port, target.container)
      return await tcpProbe(probe.tcpSocket.host || target.podAddress, port, timeoutMs)
    }
    if (probe.grpc) {
      const { port, service } = probe.grpc
      const authority = `${bracketed(target.podAddress)}:${port}`
      const problem = await grpcProbe({ authority, service: service ?? '', timeoutMs })
      return problem === '' ? SUCCESS : failure(problem)
    }
    throw new Error(`missing probe handler for ${target.container.name}`)
  } catch (error) {
    return { result: 'unknown', message: messageOf(error) }
  }
}

async function execProbe(
  command: readonly string[],
  { runtime, containerId }: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  const result = await runtime.exec(containerId, command, { timeoutMs })
  if (result.timedOut) {
    const words = JSON.stringify(command.join(' '))
    return failure(`command timed out: ${words} timed out after ${timeoutMs / 1_000}s`)
  }
  if (result.exitCode === 0) return SUCCESS
  return failure(`${result.stdout}${result.stderr}`.slice(0, OUTPUT_BYTES_MAX))
}

async function httpProbe(
  action: HTTPGetAction,
  target: ProbeTarget,
  timeoutMs: number,
): Promise<ProbeOutcome> {
  mustPort(action.port, target.container)
  try {
    const { status, body } = await httpGet(action, target, { timeoutMs, agent: 'kube-probe/1.36' })
    if (status < 200 || status >= 400) return failure(`HTTP probe failed with statuscode: ${status}`)
    if (status < 300) return SUCCESS
    return { result: 'warning', message: `Probe terminated redirects, Response body: ${body}` }
  } catch (error) {
    return failure(messageOf(error))
  }
}

function tcpProbe(host: string, port: number, timeoutMs: number): Promise<ProbeOutcome> {
  return new Promise(resolve => {
    const socket = createConnection({ host, port, timeout: timeoutMs })
    const end = (outcome: ProbeOutcome) => {
      socket.destroy()
      resolve(outcome)
    }
    const head = `dial tcp ${bracketed(host)}:${port}:`
    socket.once('connect', () => end(SUCCESS))
    socket.once('timeout', () => end(failure(`${head} i/o timeout`)))
    socket.once('error', error => {
      const isRefused = systemCodeOf(error) === 'ECONNREFUSED'
      end(failure(`${head} ${isRefused ? 'connect: connection refused' : error.message}`))
    })
  })
}
