/** The Status that ends exec and attach, on the error stream. Pure. */
import type { Status } from '../../../kube/status.ts'

const base = { kind: 'Status', apiVersion: 'v1', metadata: {} } as const

export function exitStatus(command: readonly string[], exitCode: number): Status {
  if (exitCode === 0) return { ...base, status: 'Success' }
  const words = `[${command.join(' ')}]`
  return {
    ...base,
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command ${words}, exit code ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  }
}

/** `doing`: `executing command in container`, `attaching to container`. */
export function failureStatus(doing: string, why: string): Status {
  const message = `error ${doing}: ${why}`
  return {
    ...base,
    status: 'Failure',
    message: `Internal error occurred: ${message}`,
    reason: 'InternalError',
    details: { causes: [{ message }] },
    code: 500,
  }
}

/** As the protocol's version wants it: a Status from 4 on, before that the text of a failure only. */
export function encodeStatus(status: Status, version: number): Buffer {
  if (version >= 4) return Buffer.from(JSON.stringify(status))
  return Buffer.from(status.status === 'Success' ? '' : (status.message ?? ''))
}
