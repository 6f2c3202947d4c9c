/** Has a driver asked again how many volumes it can attach here, as often as its CSIDriver object says. */
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { Informer } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { CSI_DRIVERS } from '../../../client/resources.ts'
import type { CSIDriver } from '../../../kube/types.ts'

export interface AllocatableRefreshParts {
  readonly client: KubeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Until the signal fires. Each change of the period begins a new one. */
export function refreshAllocatable(
  parts: AllocatableRefreshParts,
  driver: { readonly name: string; readonly refresh: () => Promise<unknown> },
  signal: AbortSignal,
): void {
  const { log, clock } = parts
  const fieldSelector = `metadata.name=${driver.name}`
  const informer = new Informer<CSIDriver>({ ...parts, resource: CSI_DRIVERS, fieldSelector })
  let period: { readonly seconds: number | undefined; readonly stopper: AbortController } | null = null
  const repeat = async (seconds: number, until: AbortSignal) => {
    for (;;) {
      await sleep(clock, seconds * 1_000, until)
      await driver.refresh().catch(error => {
        const about = { driver: driver.name, error: messageOf(error) }
        log.warn('a CSI driver does not say how many volumes it can attach', about)
      })
    }
  }
  informer.onChange((_key, next) => {
    const seconds = next?.spec.nodeAllocatableUpdatePeriodSeconds
    if (period?.seconds === seconds) return
    period?.stopper.abort()
    const stopper = new AbortController()
    period = { seconds, stopper }
    // It ends by being stopped.
    if (seconds) repeat(seconds, AbortSignal.any([stopper.signal, signal])).catch(() => {})
  })
  informer.start(signal)
}
