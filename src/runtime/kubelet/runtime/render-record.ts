/** The status of a container out of the record that a runtime of our own keeps of it. */
import type { ContainerConfig, ContainerStatus } from './runtime.ts'

export interface RecordedContainer {
  readonly id: string
  readonly sandboxId: string
  readonly podUid: string
  readonly config: ContainerConfig
  readonly logPath: string
  readonly createdAt: number
  readonly startedAt: number
  readonly finishedAt: number
  readonly exitCode: number
  readonly message: string
}

/** `reason` is empty while it runs. */
export function renderRecord(
  record: RecordedContainer,
  { reason, imageId }: { readonly reason: string; readonly imageId: string },
): ContainerStatus {
  const { id, sandboxId, podUid, config, createdAt, startedAt, finishedAt } = record
  return {
    ...{ id, sandboxId, podUid },
    name: config.name,
    attempt: config.attempt,
    state: finishedAt !== 0 ? 'exited' : startedAt === 0 ? 'created' : 'running',
    ...{ createdAt, startedAt, finishedAt },
    exitCode: record.exitCode,
    signal: 0,
    reason,
    message: record.message,
    image: config.image,
    imageId,
    logPath: record.logPath,
    labels: config.labels,
    annotations: config.annotations,
  }
}
