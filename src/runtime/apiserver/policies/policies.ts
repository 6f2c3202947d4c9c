/** The door of the admission policies: two plugins that run what the cluster's policies and bindings say. */

import { PolicyKinds } from '../../../kube/admission-policy/policy-kinds.ts'
import type { Store } from '../../store/store.ts'
import type { AdmissionPlugin, Authorizer, ObjectReader } from '../ports.ts'
import { keep } from '../storage/kept.ts'
import { REGISTRATION_GROUP } from '../webhooks/configurations.ts'
import { compilePolicies } from './compiled-policies.ts'
import { isBeyondPolicies } from './invocations.ts'
import { mutateByPolicies } from './mutating.ts'
import { validateByPolicies } from './validating.ts'

export interface PolicyPlugins {
  readonly mutating: AdmissionPlugin
  readonly validating: AdmissionPlugin
  stop(): void
}

interface PolicyParts {
  readonly store: Pick<Store, 'watch' | 'revision'>
  readonly objects: ObjectReader
  readonly authorizer: Authorizer
}

export function createPolicyPlugins({ store, objects, authorizer }: PolicyParts): PolicyPlugins {
  const kept = (kind: keyof typeof PolicyKinds) => {
    const prefixes = Object.values(PolicyKinds[kind]).map(name => `/registry/${REGISTRATION_GROUP}/${name}/`)
    return keep(store, prefixes, () => compilePolicies(objects, kind))
  }
  const mutating = kept('mutating')
  const validating = kept('validating')
  return {
    mutating: {
      name: 'MutatingAdmissionPolicy',
      admit(request) {
        const policies = mutating.current()
        if (policies.length === 0 || isBeyondPolicies(request)) return
        return mutateByPolicies(policies, request, authorizer)
      },
    },
    validating: {
      name: 'ValidatingAdmissionPolicy',
      validate(request) {
        const policies = validating.current()
        if (policies.length === 0 || isBeyondPolicies(request)) return
        return validateByPolicies(policies, request, authorizer)
      },
    },
    stop() {
      mutating.stop()
      validating.stop()
    },
  }
}
