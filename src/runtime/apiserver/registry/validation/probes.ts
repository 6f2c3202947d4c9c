/** Probes and lifecycle hooks: exactly one handler, sane numbers, ports that exist. */
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkPortName, checkPortNumber } from '../../../../kube/names.ts'
import type { Container, IntOrString, Lifecycle, LifecycleHandler, Probe } from '../../../../kube/types.ts'
import { checkEach, checkNonNegative, checkOneOf, type Problems } from './meta.ts'

interface Handler {
  exec?: LifecycleHandler['exec']
  httpGet?: LifecycleHandler['httpGet']
  tcpSocket?: LifecycleHandler['tcpSocket']
  grpc?: Probe['grpc']
  sleep?: LifecycleHandler['sleep']
}

export function checkProbes(
  out: Problems,
  path: string,
  container: Container,
  isSidecarOrMain: boolean,
): void {
  if (!isSidecarOrMain) {
    for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[name]) {
        out.push(
          forbidden(`${path}.${name}`, 'may not be set for init containers without restartPolicy=Always'),
        )
      }
    }
    return
  }
  checkProbe(out, `${path}.livenessProbe`, container.livenessProbe, 'must-be-one')
  checkProbe(out, `${path}.readinessProbe`, container.readinessProbe, 'free')
  checkProbe(out, `${path}.startupProbe`, container.startupProbe, 'must-be-one')
}

function checkProbe(
  out: Problems,
  path: string,
  probe: Probe | undefined,
  successThreshold: 'must-be-one' | 'free',
): void {
  if (!probe) return
  checkHandler(out, path, probe)
  checkNonNegative(out, `${path}.initialDelaySeconds`, probe.initialDelaySeconds)
  checkNonNegative(out, `${path}.timeoutSeconds`, probe.timeoutSeconds)
  checkNonNegative(out, `${path}.periodSeconds`, probe.periodSeconds)
  checkNonNegative(out, `${path}.successThreshold`, probe.successThreshold)
  checkNonNegative(out, `${path}.failureThreshold`, probe.failureThreshold)
  const grace = probe.terminationGracePeriodSeconds
  const graceField = `${path}.terminationGracePeriodSeconds`
  if (grace !== undefined && grace <= 0) out.push(invalid(graceField, grace, 'must be greater than 0'))
  if (successThreshold === 'must-be-one' && (probe.successThreshold ?? 1) !== 1) {
    out.push(invalid(`${path}.successThreshold`, probe.successThreshold, 'must be 1'))
  }
  if (successThreshold === 'free' && grace !== undefined) {
    out.push(invalid(graceField, grace, 'must not be set for readinessProbes'))
  }
}

function checkHandler(out: Problems, path: string, handler: Handler): void {
  const given = (['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const).filter(name => handler[name])
  if (given.length === 0) out.push(required(path, 'must specify a handler type'))
  for (const extra of given.slice(1)) {
    out.push(forbidden(`${path}.${extra}`, 'may not specify more than 1 handler type'))
  }
  if (handler.exec && (handler.exec.command ?? []).length === 0) {
    out.push(required(`${path}.exec.command`))
  }
  if (handler.httpGet) checkHttpGet(out, `${path}.httpGet`, handler.httpGet)
  if (handler.tcpSocket) checkPort(out, `${path}.tcpSocket.port`, handler.tcpSocket.port)
  if (handler.grpc) checkEach(out, `${path}.grpc.port`, handler.grpc.port, checkPortNumber(handler.grpc.port))
}

function checkHttpGet(out: Problems, path: string, action: NonNullable<Handler['httpGet']>): void {
  if (!action.path) out.push(required(`${path}.path`))
  checkPort(out, `${path}.port`, action.port)
  checkOneOf(out, `${path}.scheme`, action.scheme, ['HTTP', 'HTTPS'])
  for (const header of action.httpHeaders ?? []) {
    if (/^[-A-Za-z0-9]+$/.test(header.name)) continue
    const field = `${path}.httpHeaders`
    const text = "a valid HTTP header must consist of alphanumeric characters or '-'"
    const detail = `${text} (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')`
    out.push(invalid(field, header.name, detail))
  }
}

/** A port by number, or by the name of a port of the container. */
export function checkPort(out: Problems, field: string, port: IntOrString | undefined): void {
  const given = port ?? 0
  checkEach(
    out,
    field,
    given,
    typeof given === 'number' ? checkPortNumber(given) : checkPortName(String(given)),
  )
}

export function checkLifecycle(
  out: Problems,
  path: string,
  lifecycle: Lifecycle | undefined,
  graceSeconds: number | undefined,
): void {
  for (const hook of ['postStart', 'preStop'] as const) {
    const handler = lifecycle?.[hook]
    if (!handler) continue
    checkHandler(out, `${path}.${hook}`, handler)
    const seconds = handler.sleep?.seconds
    if (seconds === undefined || graceSeconds === undefined) continue
    if (seconds >= 0 && seconds <= graceSeconds) continue
    const detail = `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`
    out.push(invalid(`${path}.${hook}.sleep`, seconds, detail))
  }
}
