/** Role-based access control over an index of roles that a watch keeps fresh. */
import type { PolicyRule } from '../../../kube/types.ts'
import { prefixEnd, type Store } from '../../store/store.ts'
import type { Decision, ObjectReader, RequestAttributes } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { buildRoleIndex, type RoleIndex } from './role-index.ts'
import { ruleAllows } from './rules.ts'

export interface Rbac {
  authorize(attributes: RequestAttributes): Decision
  /** Every rule that holds for the user in the namespace (empty: at cluster scope), and the problems met. */
  rulesFor(user: UserInfo, namespace: string): { rules: readonly PolicyRule[]; problems: readonly string[] }
  /** The rules of the role that a binding in `namespace` names. */
  rulesOf: RoleIndex['resolve']
  stop(): void
}

const PREFIX = '/registry/rbac.authorization.k8s.io/'

export function createRbac(parts: {
  readonly store: Pick<Store, 'watch' | 'revision'>
  readonly objects: ObjectReader
}): Rbac {
  const index = keepIndex(parts.store, parts.objects)
  return {
    authorize: attributes => decide(index.current(), attributes),
    rulesFor: (user, namespace) => collect(index.current(), user, namespace),
    rulesOf: (ref, namespace) => index.current().resolve(ref, namespace),
    stop: index.stop,
  }
}

/** The index, built when it is first asked for after a change. Without a watch it is built each time. */
function keepIndex(store: Pick<Store, 'watch' | 'revision'>, objects: ObjectReader) {
  let index: RoleIndex | null = null
  let watch: { close(): void } | null = null
  let stopped = false
  const openWatch = () => {
    const range = { start: PREFIX, end: prefixEnd(PREFIX), after: store.revision }
    watch = store.watch(range, {
      onEvents: () => {
        index = null
      },
      onClosed: () => {
        watch = null
        index = null
      },
    })
  }
  return {
    current(): RoleIndex {
      if (index !== null) return index
      if (watch === null && !stopped) openWatch()
      const built = buildRoleIndex(objects)
      if (watch !== null) index = built
      return built
    },
    stop(): void {
      stopped = true
      index = null
      watch?.close()
      watch = null
    },
  }
}

function decide(index: RoleIndex, attributes: RequestAttributes): Decision {
  const problems: string[] = []
  for (const grant of index.grantsFor(attributes.user, attributes.isResource ? attributes.namespace : '')) {
    if (grant.problem !== undefined) problems.push(grant.problem)
    if (!grant.rules.some(rule => ruleAllows(rule, attributes))) continue
    return { allowed: true, reason: `RBAC: allowed by ${grant.description}` }
  }
  return { allowed: false, reason: problems.length === 0 ? '' : `RBAC: ${joinProblems(problems)}` }
}

function collect(index: RoleIndex, user: UserInfo, namespace: string) {
  const grants = [...index.grantsFor(user, namespace)]
  return {
    rules: grants.flatMap(grant => grant.rules),
    problems: grants.flatMap(grant => (grant.problem === undefined ? [] : [grant.problem])),
  }
}

function joinProblems(problems: readonly string[]): string {
  const distinct = [...new Set(problems)]
  return distinct.length === 1 ? (distinct[0] ?? '') : `[${distinct.join(', ')}]`
}
