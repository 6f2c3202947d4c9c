/** Admission of bodies that are not what is stored: bindings, evictions, tokens, reviews, and options of streams. */

import type { KubeObject } from '../../../kube/object.ts'
import type { AdmissionSubject } from './admission-forms.ts'
import { admitMutating, admitValidating } from './admit.ts'
import { callerOf } from './create.ts'
import { internalResource } from './decode-body.ts'
import type { RequestScope } from './scope.ts'

/** Both halves; plugins may change `object`. */
export async function admitBody(
  scope: RequestScope,
  object: KubeObject,
  dryRun: boolean,
  operation: AdmissionSubject['operation'] = 'CREATE',
): Promise<void> {
  const { context, info } = scope
  const subject: AdmissionSubject = {
    operation,
    resource: internalResource(scope),
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name === '' ? (object.metadata?.name ?? '') : info.name,
    caller: callerOf(scope, dryRun),
    object,
    oldObject: null,
  }
  await admitMutating(context, subject)
  await admitValidating(context, subject)
}
