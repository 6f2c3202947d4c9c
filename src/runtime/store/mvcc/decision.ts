/**
 * What a decision comes to in a given state: which of its branches are taken, all the way down, and whether
 * their steps can be carried out. Pure: nothing has changed yet when the answer is there.
 */
import { Mk8sError } from '../../../base/errors.ts'
import type { Condition, Decision, KeyValue, Range, RangeResult, Revision, Step } from '../store.ts'

/** What a decision may look at. */
export interface DecisionView {
  readonly revision: Revision
  readonly compactedRevision: Revision
  get(key: string): KeyValue | null
  range(range: Range): RangeResult
  hasLease(lease: number): boolean
}

export type TakenStep = Exclude<Step, { type: 'decision' }> | ({ readonly type: 'decision' } & TakenBranch)

export interface TakenBranch {
  readonly succeeded: boolean
  readonly steps: readonly TakenStep[]
}

/** All conditions are looked at before any step happens, those of decisions inside too. */
export function takeBranch(decision: Decision, view: DecisionView): TakenBranch {
  const succeeded = decision.conditions.every(condition => holds(condition, view))
  const steps = (succeeded ? decision.steps : decision.otherwise).map(step => {
    if (step.type === 'decision') return { type: step.type, ...takeBranch(step.decision, view) }
    return step
  })
  return { succeeded, steps }
}

/** Why the branch cannot be carried out; null if it can. */
export function obstacleOf({ steps }: TakenBranch, view: DecisionView): Mk8sError | null {
  for (const step of steps) {
    const obstacle = step.type === 'decision' ? obstacleOf(step, view) : obstacleOfStep(step, view)
    if (obstacle !== null) return obstacle
  }
  return null
}

function obstacleOfStep(
  step: Exclude<TakenStep, { type: 'decision' }>,
  view: DecisionView,
): Mk8sError | null {
  if (step.type === 'put') {
    const keeps = step.value === null || step.lease === null
    if (keeps && view.get(step.key) === null) {
      return new Mk8sError('store/no-key', 'a put that keeps what a key has needs the key')
    }
    if (step.lease === null || step.lease === 0 || view.hasLease(step.lease)) return null
    return new Mk8sError('store/no-lease', `lease ${step.lease} does not exist`)
  }
  const revision = step.type === 'range' ? step.range.revision : undefined
  if (revision === undefined) return null
  if (revision < view.compactedRevision) return compactedError(revision, view.compactedRevision)
  return revision > view.revision ? futureError(revision, view.revision) : null
}

export function compactedError(revision: Revision, compacted: Revision): Mk8sError {
  return new Mk8sError('store/compacted', `revision ${revision} has been compacted`, {
    why: `history begins at revision ${compacted}`,
    fields: { revision, compacted },
  })
}

export function futureError(revision: Revision, current: Revision): Mk8sError {
  return new Mk8sError('store/future-revision', `revision ${revision} has not happened yet`, {
    why: `the store is at revision ${current}`,
    fields: { revision, current },
  })
}

/** Of a range, every key must hold it; a range without keys is looked at like one absent key. */
function holds(condition: Condition, view: DecisionView): boolean {
  const { key, end } = condition
  if (end === undefined) return holdsFor(condition, view.get(key))
  const { entries } = view.range({ start: key, end })
  if (entries.length === 0) return holdsFor(condition, null)
  return entries.every(kv => holdsFor(condition, kv))
}

function holdsFor(condition: Condition, kv: KeyValue | null): boolean {
  if (condition.target === 'value') {
    return kv !== null && related(Buffer.compare(kv.value, condition.operand), condition.relation)
  }
  return related(numberOf(condition.target, kv) - condition.operand, condition.relation)
}

function numberOf(target: Exclude<Condition['target'], 'value'>, kv: KeyValue | null): number {
  if (kv === null) return 0
  switch (target) {
    case 'mod-revision':
      return kv.modRevision
    case 'create-revision':
      return kv.createRevision
    case 'version':
      return kv.version
    case 'lease':
      return kv.lease
  }
}

function related(difference: number, relation: Condition['relation']): boolean {
  switch (relation) {
    case 'equal':
      return difference === 0
    case 'not-equal':
      return difference !== 0
    case 'greater':
      return difference > 0
    case 'less':
      return difference < 0
  }
}

/** Whether any branch could change something. */
export function mayWrite({ steps, otherwise }: Decision): boolean {
  return [...steps, ...otherwise].some(step => {
    if (step.type === 'decision') return mayWrite(step.decision)
    return step.type !== 'range'
  })
}
