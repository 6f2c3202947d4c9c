/** The status of a node, asked over its API: what `mk8s status` shows of a cluster elsewhere. */
import { type Clock, sleepAlive } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { readBounded } from '../base/read-bounded.ts'
import { type NodeStatus, reasonsNotReady } from './node-status.ts'
import type { Transport } from './transport.ts'

const PATH = '/mk8s/status'
const ANSWER_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 4 * 1024 * 1024
const POLL_MS = 500
/** Of an answer that is no status. */
const SHOWN_CHARS_MAX = 200

/** Rejects with `api/unreachable`, or `api/refused` when this user may not. `cluster`: as its user calls it. */
export async function readRemoteStatus(transport: Transport, cluster: string): Promise<NodeStatus> {
  const signal = AbortSignal.timeout(ANSWER_MS_MAX)
  const { status, body } = await transport.request({ method: 'GET', path: PATH, signal })
  const hint = `mk8s --cluster ${cluster} kubectl get --raw ${PATH}`
  const tooLarge = () => new Mk8sError('api/refused', `the status of ${cluster} is too large`, { hint })
  const text = (await readBounded(body, ANSWER_BYTES_MAX, tooLarge)).toString('utf8')
  if (status === 200) return parseStatus(text, cluster, hint)
  throw new Mk8sError('api/refused', `${cluster} does not tell its status`, {
    why: `it answered ${status}: ${text.slice(0, SHOWN_CHARS_MAX)}`,
    hint: 'a new kubeconfig: mk8s cluster add --replace',
  })
}

function parseStatus(text: string, cluster: string, hint: string): NodeStatus {
  try {
    return JSON.parse(text) as NodeStatus
  } catch (cause) {
    const why = `it answered with something else: ${text.slice(0, 200)}`
    throw new Mk8sError('api/refused', `${cluster} does not tell its status`, { why, hint, cause })
  }
}

export interface WaitParts {
  /** 0: the first answer counts. */
  readonly timeoutMs: number
  readonly clock: Clock
}

/** The first status that says ready. Throws `node/not-ready` when the time is over, or why there was no answer. */
export async function waitUntilRemoteReady(
  read: () => Promise<NodeStatus>,
  { timeoutMs, clock }: WaitParts,
): Promise<NodeStatus> {
  if (timeoutMs === 0) return read()
  const untilMs = clock.monotonic() + timeoutMs
  for (;;) {
    const outcome = await read().catch((error: unknown) => error as Error)
    if (!(outcome instanceof Error) && outcome.ready) return outcome
    if (clock.monotonic() >= untilMs) throw timedOut(outcome, timeoutMs)
    await sleepAlive(clock, POLL_MS)
  }
}

function timedOut(outcome: NodeStatus | Error, timeoutMs: number): Mk8sError {
  if (outcome instanceof Mk8sError) return outcome
  const why = outcome instanceof Error ? outcome.message : reasonsNotReady(outcome).join('\n')
  const seconds = Math.round(timeoutMs / 1000)
  return new Mk8sError('node/not-ready', `the cluster is not ready after ${seconds} s`, {
    why,
    hint: 'mk8s status',
  })
}
