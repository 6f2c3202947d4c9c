/** What the status of a workload may say: counts that are counts, and parts that are not more than the whole. */
import { type FieldError, invalid } from '../../../../kube/field-error.ts'
import { checkNonNegative, type Problems } from '../validation/meta.ts'

type Status = Readonly<Record<string, unknown>>

const countOf = (status: Status, name: string): number => Number(status[name] ?? 0)

function checkCounts(out: Problems, status: Status, names: readonly string[]): void {
  for (const name of names) {
    const value = status[name]
    if (typeof value === 'number') checkNonNegative(out, `status.${name}`, value)
  }
}

/** Each: a part, what it may not exceed, and how the refusal names that. */
type Part = readonly [part: string, whole: string, shown?: string]

function checkParts(out: Problems, status: Status, parts: readonly Part[]): void {
  for (const [part, whole, shown = `status.${whole}`] of parts) {
    const value = countOf(status, part)
    if (value <= countOf(status, whole)) continue
    out.push(invalid(`status.${part}`, value, `cannot be greater than ${shown}`))
  }
}

function checkCollisions(out: Problems, next: Status, previous: Status): void {
  if (typeof previous['collisionCount'] !== 'number') return
  const count = countOf(next, 'collisionCount')
  if (count >= previous['collisionCount']) return
  out.push(invalid('status.collisionCount', count, 'cannot be decremented'))
}

const DAEMON_COUNTS = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
]

export function daemonStatusProblems(next: object, previous: object): readonly FieldError[] {
  const out: FieldError[] = []
  checkCounts(out, next as Status, DAEMON_COUNTS)
  checkCollisions(out, next as Status, previous as Status)
  return out
}

export function statefulStatusProblems(next: object, previous: object): readonly FieldError[] {
  const out: FieldError[] = []
  const status = next as Status
  checkCounts(out, status, [
    'replicas',
    'readyReplicas',
    'currentReplicas',
    'updatedReplicas',
    'availableReplicas',
    'observedGeneration',
    'collisionCount',
  ])
  checkParts(out, status, [
    ['readyReplicas', 'replicas'],
    ['currentReplicas', 'replicas'],
    ['updatedReplicas', 'replicas'],
    ['availableReplicas', 'replicas'],
    ['availableReplicas', 'readyReplicas'],
  ])
  checkCollisions(out, status, previous as Status)
  return out
}

export function deploymentStatusProblems(next: object, previous: object): readonly FieldError[] {
  const out: FieldError[] = []
  const status = next as Status
  checkCounts(out, status, [
    'observedGeneration',
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'terminatingReplicas',
    'collisionCount',
  ])
  checkParts(out, status, [
    ['updatedReplicas', 'replicas'],
    ['readyReplicas', 'replicas'],
    ['availableReplicas', 'replicas'],
    ['availableReplicas', 'readyReplicas', 'readyReplicas'],
  ])
  checkCollisions(out, status, previous as Status)
  return out
}

/** Of ReplicaSets and ReplicationControllers. */
export function replicaStatusProblems(next: object): readonly FieldError[] {
  const out: FieldError[] = []
  const status = next as Status
  checkCounts(out, status, [
    'replicas',
    'fullyLabeledReplicas',
    'readyReplicas',
    'availableReplicas',
    'observedGeneration',
    'terminatingReplicas',
  ])
  checkParts(out, status, [
    ['fullyLabeledReplicas', 'replicas'],
    ['readyReplicas', 'replicas'],
    ['availableReplicas', 'replicas'],
    ['availableReplicas', 'readyReplicas', 'readyReplicas'],
  ])
  return out
}
