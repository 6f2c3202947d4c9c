/** Which pod something is about: its names, and how texts and directories call it. */
import { join } from 'node:path'
import type { Pod } from '../../kube/types.ts'

/** `<logs>/<namespace>_<name>_<uid>`. */
export function logDirectoryOf(
  logs: string,
  pod: { readonly namespace: string; readonly name: string; readonly uid: string },
): string {
  return join(logs, `${pod.namespace}_${pod.name}_${pod.uid}`)
}

export function identityOf(pod: Pod): { namespace: string; name: string; uid: string } {
  const { namespace = '', name = '', uid = '' } = pod.metadata
  return { namespace, name, uid }
}

/** `web_default(6f2…)`, as upstream names pods in messages. */
export function podText(pod: Pod): string {
  const { namespace, name, uid } = identityOf(pod)
  return `${name}_${namespace}(${uid})`
}
