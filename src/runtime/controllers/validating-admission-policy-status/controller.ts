/** Tells the authors of ValidatingAdmissionPolicies, in the status, what their expressions get wrong about kinds. */
import { keyOf } from '../../../client/informer.ts'
import { isConflict, isNotFound } from '../../../client/kube-client.ts'
import { VALIDATING_ADMISSION_POLICIES } from '../../../client/resources.ts'
import type { PolicySpec } from '../../../kube/admission-policy/policy-kinds.ts'
import { typeCheckPolicy } from '../../../kube/admission-policy/type-check.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'

const SERVICE_ACCOUNT = 'validatingadmissionpolicy-status-controller'

interface Policy extends KubeObject {
  spec?: PolicySpec
  status?: { observedGeneration?: number; typeChecking?: unknown }
}

export function createPolicyStatusController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const policies = context.informers.informer<Policy>(VALIDATING_ADMISSION_POLICIES)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    workers: 1,
    sources: [keysFrom(policies, policy => [keyOf(policy)])],
    async reconcile(name, signal) {
      const policy = policies.get(name)
      const generation = policy?.metadata.generation
      if (policy === undefined || policy.status?.observedGeneration === generation) return undefined
      const expressionWarnings = typeCheckPolicy(policy.spec ?? {}, context.model)
      const typeChecking = expressionWarnings.length === 0 ? {} : { expressionWarnings }
      const status = { ...policy.status, observedGeneration: generation, typeChecking }
      try {
        const options = { subresource: 'status' }
        const next = { ...policy, status } as Policy
        const updated = await client.update(VALIDATING_ADMISSION_POLICIES, next, options)
        await policies.caughtUp(updated.metadata.resourceVersion, signal)
      } catch (error) {
        // What has changed meanwhile comes back as a change.
        if (!isNotFound(error) && !isConflict(error)) throw error
      }
      return undefined
    },
  })
}
