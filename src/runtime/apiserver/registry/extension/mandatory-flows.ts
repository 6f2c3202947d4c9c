/** The flow schemas and priority levels that every cluster has: their specs are fixed. */
import { semanticallyEqual } from '../support.ts'

const group = (name: string) => ({ kind: 'Group', group: { name } })
const everything = {
  resourceRules: [
    { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true },
  ],
  nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
}

const schemas: Readonly<Record<string, object>> = {
  exempt: {
    priorityLevelConfiguration: { name: 'exempt' },
    matchingPrecedence: 1,
    rules: [{ subjects: [group('system:masters')], ...everything }],
  },
  'catch-all': {
    priorityLevelConfiguration: { name: 'catch-all' },
    matchingPrecedence: 10_000,
    distinguisherMethod: { type: 'ByUser' },
    rules: [{ subjects: [group('system:unauthenticated'), group('system:authenticated')], ...everything }],
  },
}

export function isFixedSchemaKept(name: string, spec: object): boolean {
  const fixed = schemas[name]
  return fixed === undefined || semanticallyEqual(fixed, spec)
}

const catchAllLevel = {
  type: 'Limited',
  limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: 'Reject' } },
}

/** What is wrong with the spec of a level that every cluster has; null when it is as it must be, or another. */
export function fixedLevelProblem(name: string, spec: Readonly<Record<string, unknown>>): string | null {
  if (name === 'exempt') {
    const { exempt: _exempt, ...rest } = spec
    if (semanticallyEqual(rest, { type: 'Exempt' })) return null
    return "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
  }
  if (name !== 'catch-all' || semanticallyEqual(spec, catchAllLevel)) return null
  return "spec of 'catch-all' must equal the fixed value"
}
