/** Flow schemas and priority levels: what is filled in, and what is refused, in upstream's words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { flowControlObjects } from '../../../../../src/runtime/apiserver/bootstrap/flow-control.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, createProblems, object, specOf } from './support.ts'
import { createTable } from './tables.ts'

const GROUP = 'flowcontrol.apiserver.k8s.io'
const metadata = { namespace: undefined }
const subjects = [{ kind: 'Group', group: { name: 'system:authenticated' } }]
const resourceRule = { verbs: ['get'], apiGroups: ['*'], resources: ['pods'], namespaces: ['*'] }
const rule = (fields: object) => ({
  spec: { rules: [{ subjects, resourceRules: [resourceRule], ...fields }] },
})
const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
  "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

createTable({
  key: `${GROUP}/flowschemas`,
  kind: 'FlowSchema',
  metadata,
  valid: {
    spec: {
      priorityLevelConfiguration: { name: 'low' },
      rules: [
        {
          subjects: [...subjects, { kind: 'ServiceAccount', serviceAccount: { name: '*', namespace: 'a' } }],
          resourceRules: [resourceRule],
          nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['/healthz', '/a/*'] }],
        },
      ],
    },
  },
  rows: [
    [
      'the precedence of another, an unknown method and no level',
      {
        spec: {
          matchingPrecedence: 1,
          distinguisherMethod: { type: 'ByMood' },
          priorityLevelConfiguration: { name: '' },
        },
      },
      [
        "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
        'spec.distinguisherMethod.type: Unsupported value: {"Type":"ByMood"}: supported values: "ByNamespace", "ByUser"',
        'spec.priorityLevelConfiguration.name: Required value: must reference a priority level',
      ],
    ],
    [
      'precedences out of range',
      { spec: { matchingPrecedence: 10_001 } },
      ['spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000'],
    ],
    [
      'a rule about nothing and nobody',
      rule({ subjects: [], resourceRules: [] }),
      [
        'spec.rules[0].subjects: Required value: subjects must contain at least one value',
        'spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty',
      ],
    ],
    [
      'subjects that are none',
      rule({
        subjects: [
          { kind: 'User', group: { name: 'a' } },
          { kind: 'ServiceAccount', serviceAccount: { name: 'a', namespace: '' } },
          { kind: 'Robot' },
          { kind: 'Group', group: { name: '' } },
        ],
      }),
      [
        "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
        "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
        'spec.rules[0].subjects[1].serviceAccount.namespace: Required value: must specify namespace for service account',
        'spec.rules[0].subjects[2].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"',
        'spec.rules[0].subjects[3].group.name: Required value',
      ],
    ],
    [
      'a resource rule that is none',
      rule({
        resourceRules: [{ verbs: ['look'], apiGroups: ['*', 'apps'], resources: [], namespaces: ['A'] }],
      }),
      [
        'spec.rules[0].resourceRules[0].verbs: Unsupported value: ["look"]: supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"',
        'spec.rules[0].resourceRules[0].apiGroups: Invalid value: ["*","apps"]: if \'*\' is present, must not specify other api groups',
        'spec.rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource',
        `spec.rules[0].resourceRules[0].namespaces[0]: Invalid value: "A": each member of this list must be '*' or a DNS-1123 label; ${LABEL}`,
      ],
    ],
    [
      'a resource rule without a place',
      rule({ resourceRules: [{ ...resourceRule, verbs: [], namespaces: [] }] }),
      [
        'spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least one value',
        'spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace',
      ],
    ],
    [
      'paths that are none',
      rule({
        nonResourceRules: [
          { verbs: ['get', '*'], nonResourceURLs: ['', 'a', '/a b', '/a//b', '/a*', '/*/b', '/'] },
        ],
      }),
      [
        'spec.rules[0].nonResourceRules[0].verbs: Invalid value: ["get","*"]: if \'*\' is present, must not specify other verbs',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "": must not be empty',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: "a": must start with slash',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: "/a b": must not contain white-space',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: "/a//b": must not contain double slash',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[4]: Invalid value: "/a*": wildcard can only do suffix matching',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[5]: Invalid value: "/*/b": wildcard can only do suffix matching',
      ],
    ],
  ],
})

const queuing = { queues: 64, handSize: 8, queueLengthLimit: 50 }
const limited = (fields: object) => ({
  spec: { limited: { limitResponse: { type: 'Queue', queuing }, ...fields } },
})
const queues = (fields: object) =>
  limited({ limitResponse: { type: 'Queue', queuing: { ...queuing, ...fields } } })
const QUEUING = 'spec.limited.limitResponse.queuing'

createTable({
  key: `${GROUP}/prioritylevelconfigurations`,
  kind: 'PriorityLevelConfiguration',
  metadata,
  valid: { spec: { type: 'Limited', limited: { limitResponse: { type: 'Reject' } } } },
  rows: [
    ['queues', queues({}), []],
    [
      'a type that only one may have',
      { spec: { type: 'Exempt' } },
      [
        "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'",
        'spec.limited: Forbidden: must be nil if the type is not Limited',
      ],
    ],
    [
      'an unknown type',
      { spec: { type: 'Some' } },
      ['spec.type: Unsupported value: "Some": supported values: "Exempt", "Limited"'],
    ],
    [
      'no limits',
      { spec: { limited: undefined, exempt: {} } },
      [
        'spec.exempt: Forbidden: must be nil if the type is Limited',
        'spec.limited: Required value: must not be empty when type is Limited',
      ],
    ],
    [
      'shares out of range',
      limited({ nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1 }),
      [
        'spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer',
        'spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive',
        'spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer',
      ],
    ],
    [
      'queues without a queue',
      limited({ limitResponse: { type: 'Queue' } }),
      [`${QUEUING}: Required value: must not be empty if limited.limitResponse.type is Limited`],
    ],
    [
      'queues where none may be',
      limited({ limitResponse: { type: 'Reject', queuing } }),
      [`${QUEUING}: Forbidden: must be nil if limited.limitResponse.type is not Limited`],
    ],
    [
      'an answer that is none',
      limited({ limitResponse: { type: 'Wait' } }),
      ['spec.limited.limitResponse.type: Unsupported value: "Wait": supported values: "Queue", "Reject"'],
    ],
    [
      'negative queues',
      queues({ queues: -1, handSize: -1, queueLengthLimit: -1 }),
      [
        `${QUEUING}.queueLengthLimit: Invalid value: -1: must be positive`,
        `${QUEUING}.queues: Invalid value: -1: must be positive`,
        `${QUEUING}.handSize: Invalid value: -1: must be positive`,
      ],
    ],
    [
      'a hand larger than its deck',
      queues({ queues: 4 }),
      [`${QUEUING}.handSize: Invalid value: 8: should not be greater than queues (4)`],
    ],
    [
      'a hand that no hash deals',
      queues({ queues: 512 }),
      [
        `${QUEUING}.handSize: Invalid value: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60`,
      ],
    ],
  ],
})

test('what a level leaves out is filled in', () => {
  const strategy = must(strategies.get(`${GROUP}/prioritylevelconfigurations`), 'levels')
  const made = created(
    strategy,
    object('PriorityLevelConfiguration', {
      spec: { type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: {} } } },
    }),
  )
  assert.deepEqual(specOf(made)['limited'], {
    nominalConcurrencyShares: 30,
    lendablePercent: 0,
    limitResponse: { type: 'Queue', queuing },
  })
})

test('the levels and schemas that a cluster begins with are valid, and two of each stay as they are', () => {
  const changed: string[] = []
  for (const given of flowControlObjects()) {
    const key = given.kind === 'FlowSchema' ? 'flowschemas' : 'prioritylevelconfigurations'
    const strategy = must(strategies.get(`${GROUP}/${key}`), key)
    assert.deepEqual(createProblems(strategy, given), [], given.metadata.name ?? '')
    const other = structuredClone(given)
    const spec = specOf(other) as Record<string, Record<string, unknown>>
    if (given.kind === 'FlowSchema') specOf(other)['matchingPrecedence'] = 7
    else Object.assign(spec['limited'] ?? spec['exempt'] ?? {}, { nominalConcurrencyShares: 9 })
    const problems = createProblems(strategy, other)
    if (problems.some(problem => problem.includes('must equal the fixed value'))) {
      changed.push(`${given.kind} ${given.metadata.name}`)
    }
  }
  assert.deepEqual(changed, [
    'PriorityLevelConfiguration catch-all',
    'FlowSchema exempt',
    'FlowSchema catch-all',
  ])
})
