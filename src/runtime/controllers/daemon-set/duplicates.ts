/** Makes one of several revisions that hold the same template: the newest stays, and the pods of the others become its. */
import { isNotFound } from '../../../client/kube-client.ts'
import { PODS } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import type { ControllerRevision, Pod } from '../../../kube/types.ts'
import { deleteAndSee } from '../shared/deletion.ts'
import type { PodControl } from '../shared/pod-control.ts'
import type { History, RevisionControl } from '../shared/revision-control.ts'
import { REVISION_HASH_LABEL } from '../shared/revisions.ts'

export interface Merged {
  readonly history: History
  readonly pods: readonly Pod[]
}

/** Without it, pods of an older revision would be replaced by their like. */
export async function mergeDuplicates(
  control: RevisionControl & Pick<PodControl, 'pods'>,
  { history, pods }: Merged,
  signal: AbortSignal,
): Promise<Merged> {
  const { present } = history
  const duplicates = history.all.filter(one => one !== present && semanticEqual(one.data, present.data))
  if (duplicates.length === 0) return { history, pods }
  const hashes = new Set(duplicates.map(hashOf))
  const relabelled = await Promise.all(
    pods.map(pod => (hashes.has(hashOf(pod)) ? relabel(control, pod, hashOf(present), signal) : pod)),
  )
  for (const one of duplicates) await deleteAndSee(control.client, control.revisions, one, signal)
  return {
    history: { ...history, all: history.all.filter(one => !duplicates.includes(one)) },
    pods: relabelled.filter(pod => pod !== null),
  }
}

const hashOf = ({ metadata }: Pod | ControllerRevision): string =>
  metadata.labels?.[REVISION_HASH_LABEL] ?? ''

/** Null when the pod is gone. */
async function relabel(
  { client, pods }: RevisionControl & Pick<PodControl, 'pods'>,
  pod: Pod,
  hash: string,
  signal: AbortSignal,
): Promise<Pod | null> {
  const { namespace, name = '', uid } = pod.metadata
  const patch = { metadata: { uid, labels: { [REVISION_HASH_LABEL]: hash } } }
  try {
    const patched = await client.patch<Pod>(PODS, { namespace, name, type: 'strategic', patch })
    await pods.caughtUp(patched.metadata.resourceVersion, signal)
    return patched
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}
