/** Runs the admission plugins over one object, in their order. */
import type { KubeObject } from '../../../kube/object.ts'
import { StatusError } from '../../../kube/status.ts'
import type { ApiContext } from '../context.ts'
import type { AdmissionRequest } from '../ports.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import type { UserInfo } from '../user.ts'
import { fellBehind } from './fell-behind.ts'

export interface AdmissionSubject {
  readonly operation: AdmissionRequest['operation']
  readonly resource: ServedResource
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly user: UserInfo
  readonly dryRun: boolean
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
}

const requestOf = (subject: AdmissionSubject): AdmissionRequest => ({
  ...subject,
  resource: subject.resource.info,
})

/** The mutating half: plugins change `subject.object` in place. */
export async function admitMutating(context: ApiContext, subject: AdmissionSubject): Promise<void> {
  const request = requestOf(subject)
  for (const plugin of context.admission) await twice(context, () => plugin.admit?.(request))
}

/** The validating half: plugins see what will be stored. */
export async function admitValidating(context: ApiContext, subject: AdmissionSubject): Promise<void> {
  const request = requestOf(subject)
  for (const plugin of context.admission) await twice(context, () => plugin.validate?.(request))
}

/** What a plugin looks for, such as a namespace, may have been made through another server a moment ago. */
async function twice(context: ApiContext, run: () => void | Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    if (!(error instanceof StatusError) || !(await fellBehind(context.store, undefined))) throw error
    await run()
  }
}
