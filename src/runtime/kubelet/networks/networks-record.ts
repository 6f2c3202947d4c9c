/** What is noted of a pod's networks, and how they are detached by it alone, with a daemon and without. */
import { existsSync, statSync } from 'node:fs'
import { cniPath } from '../../../host/container-programs.ts'
import { currentBootId } from '../../../host/processes.ts'
import { type CniAttachment, type CniParts, detach, releaseAddresses } from '../runtime/oci/cni.ts'
import { RecordStore } from '../runtime/process/records.ts'

export interface NetworksRecord {
  /** Of the pod and how often its sandbox was made. */
  readonly id: string
  /** Null while it is being made. */
  sandboxId: string | null
  /** Every network that the pod asks for is attached. */
  isWhole: boolean
  readonly bootId: string
  /** The last one may not have been made, or in part. */
  attachments: readonly CniAttachment[]
}

/** Goes on after a failure, and throws the first in the end. */
export async function detachAll(cni: CniParts, record: NetworksRecord): Promise<void> {
  const failures: unknown[] = []
  for (const attachment of record.attachments.toReversed()) {
    await detach(cni, asItIs(attachment, record)).catch(error => failures.push(error))
  }
  if (failures.length > 0) throw failures[0]
}

/** Interfaces go with their namespace anyway; what plugins fail to undo must not keep a pod for ever. */
export async function giveUp(cni: CniParts, record: NetworksRecord): Promise<void> {
  for (const attachment of record.attachments.toReversed()) {
    await releaseAddresses(cni, asItIs(attachment, record)).catch(() => {})
  }
}

function asItIs(attachment: CniAttachment, { bootId }: NetworksRecord): CniAttachment {
  const { netns } = attachment.arguments
  const isThere = bootId === currentBootId() && isNamespace(netns)
  return { ...attachment, arguments: { ...attachment.arguments, netns: isThere ? netns : '' } }
}

/** Not just the file that it was mounted on. */
function isNamespace(path: string): boolean {
  try {
    return statSync(path).dev === statSync('/proc/self/ns/net').dev
  } catch {
    return false
  }
}

/** Gives back what pods had, when no daemon does. Before the sandboxes end; does nothing where there never was one. */
export async function endNetworks(directory: string, enter: readonly string[] = []): Promise<void> {
  if (!existsSync(directory)) return
  const store = new RecordStore<NetworksRecord>(directory)
  const cni = { configs: '', plugins: cniPath(), enter }
  for (const record of await store.load()) {
    await detachAll(cni, record).catch(() => giveUp(cni, record))
    await store.remove(record.id)
  }
}
