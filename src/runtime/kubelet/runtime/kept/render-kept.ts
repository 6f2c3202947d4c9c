/** What the kubelet hears of containers that have a keeper, out of their records. Pure. */
import { Mk8sError } from '../../../../base/errors.ts'
import type { FamilyUsage } from '../../../../host/process-family.ts'
import { type RecordedContainer, renderRecord } from '../render-record.ts'
import type { ContainerStatus } from '../runtime.ts'
import type { ContainerUsage } from '../usage.ts'

export function renderContainer(record: RecordedContainer): ContainerStatus {
  const hasEnded = record.finishedAt !== 0
  return renderRecord(record, {
    reason: hasEnded ? (record.exitCode === 0 ? 'Completed' : 'Error') : '',
    imageId: `process://${record.config.image}`,
  })
}

export function renderUsage(id: string, timeMs: number, usage: FamilyUsage): ContainerUsage {
  const { cpuNanos, memoryBytes, pageFaults, processes } = usage
  return {
    ...{ id, timeMs, cpuNanos, pageFaults, processes },
    ...{ workingSetBytes: memoryBytes, usageBytes: memoryBytes, rssBytes: memoryBytes },
    majorPageFaults: 0,
  }
}

export const noCommand = (name: string): Mk8sError =>
  new Mk8sError(
    'kubelet/runtime',
    `process runtime needs spec.containers[].command: container ${name} has none, ` +
      'and images are not pulled, so there is no entrypoint to take',
  )

export const startFailure = (id: string, why: string): Mk8sError =>
  new Mk8sError('kubelet/runtime', `failed to start container ${id}: ${why}`)
