/**
 * The component that keeps a node's certificates alive: it looks at its start and once a day, and puts what it got
 * anew into use without a restart. How a certificate is got is an argument: a server issues its own, a worker asks.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import { readCertificateDates } from './dates.ts'
import type { LiveCertificates } from './live-pki.ts'
import { DAY_MS, WARN_BEFORE_MS } from './validity.ts'

export interface RenewalParts<T extends object> {
  readonly live: LiveCertificates<T>
  /** Makes or asks for what is due, and for `forced` in any case; returns the names of what is new. */
  readonly renew: (forced: readonly string[]) => Promise<readonly string[]>
  /** Reads the directory again. */
  readonly load: () => Promise<T>
  /** Follows a renewal in files of users, such as the kubeconfig. */
  readonly onRenewed?: (current: T) => void
  readonly clock: Clock
  readonly log: Log
}

export interface CertificateRenewal extends Component {
  /** Renews now what is due, and `forced` in any case; the names of what is new. */
  renewNow(forced?: readonly string[]): Promise<readonly string[]>
}

/** After a failure there are months left, but whoever can help should read of it soon. */
const RETRY_MS = 60 * 60 * 1000

export function createCertificateRenewal<T extends object>(parts: RenewalParts<T>): CertificateRenewal {
  const { live, clock, log } = parts
  let timer: Timer | null = null
  let stopped = false
  let looked = false
  /** One renewal at a time: both would write the same files. */
  let turn: Promise<unknown> = Promise.resolve()

  const renewOnce = async (forced: readonly string[]) => {
    const names = await parts.renew(forced)
    looked = true
    if (names.length === 0) return names
    live.replace(await parts.load())
    parts.onRenewed?.(live.current)
    log.info('certificates are renewed and in use', { certificates: names })
    return names
  }
  const renewNow = (forced: readonly string[] = []) => {
    const mine = turn.then(() => renewOnce(forced))
    turn = mine.catch(() => {})
    return mine
  }
  const look = async () => {
    let delayMs = DAY_MS
    try {
      await renewNow()
    } catch (error) {
      log.error('certificates could not be renewed', { error })
      delayMs = RETRY_MS
    }
    lookAfter(delayMs)
  }
  const lookAfter = (delayMs: number) => {
    if (!stopped) timer = clock.after(delayMs, () => void look())
  }
  return {
    name: 'certificates',
    async prepare() {},
    async start() {
      // A start does not wait for it: whoever certifies a worker may be down.
      if (looked) lookAfter(DAY_MS)
      else void look()
    },
    async stop() {
      stopped = true
      timer?.cancel()
      await turn
    },
    health: () => ({ ok: true, reason: '' }),
    renewNow,
  }
}

/** Something that `mk8s status` shows among the problems. */
export interface CertificateProblem {
  readonly object: string
  readonly reason: string
  readonly message: string
  readonly next: string
}

/** The certificates of the directory that end within two weeks, or have ended. */
export async function certificateProblems(directory: string, nowMs: number): Promise<CertificateProblem[]> {
  const dates = await readCertificateDates(directory)
  return dates
    .filter(({ endMs }) => endMs - nowMs < WARN_BEFORE_MS)
    .map(({ name, endMs, isAuthority }) => ({
      object: `certificate/${name}`,
      reason: endMs <= nowMs ? 'CertificateExpired' : 'CertificateExpires',
      message: `${endMs <= nowMs ? 'it ended' : 'it ends'} at ${new Date(endMs).toISOString()}`,
      next: isAuthority ? 'mk8s refresh-certs --cert ca.crt' : 'mk8s refresh-certs',
    }))
}
