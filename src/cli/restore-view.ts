/** What `mk8s restore-datastore` says before and after. Pure: texts out of facts. */
import { renderColumns } from './columns.ts'

export interface RestoreDifference {
  readonly resource: string
  readonly added: number
  readonly changed: number
  readonly removed: number
}

export interface RestorePlanFacts {
  readonly file: string
  readonly clusterId: string
  readonly createdAt: string
  readonly revision: number
  readonly nodeName: string
  /** Servers beside this one that are restored with it. */
  readonly others: readonly string[]
  /** Servers that are off, and no members any more. */
  readonly dropped: readonly string[]
  readonly differences: readonly RestoreDifference[]
  readonly remarks: readonly string[]
}

export function renderRestorePlan(facts: RestorePlanFacts): string {
  const { differences, others, dropped } = facts
  const rows = differences.map(({ resource, added, changed, removed }) => [
    resource,
    ...[added, changed, removed].map(String),
  ])
  const servers = [facts.nodeName, ...others].join(', ')
  return [
    `${facts.file} has the state of cluster ${facts.clusterId}`,
    `of ${facts.createdAt}, revision ${facts.revision}. It takes the place of the whole state of ${servers}:`,
    ...(rows.length === 0
      ? ['all objects are the same as now.']
      : [renderColumns([['RESOURCE', 'ADDED', 'CHANGED', 'REMOVED'], ...rows])]),
    ...(dropped.length === 0 ? [] : [`No members any more: ${dropped.join(', ')}.`]),
    ...facts.remarks,
  ].join('\n')
}

/** Two clusters of one origin may write to one target from now on, and none must take away what is the other's. */
export function schedulesRemarks(names: readonly string[], hasCredentials: boolean): readonly string[] {
  if (names.length === 0) return []
  const [noun, verb] = names.length === 1 ? ['schedule', 'goes'] : ['schedules', 'go']
  return [
    `${names.length} ${noun} of backups, ${names.join(', ')}, ${verb} on in the restored cluster. The names of its ` +
      'files have its new id: those of before are neither replaced nor ever taken away, see to them yourself.',
    ...(hasCredentials
      ? []
      : ['Credentials of remote targets are not in this backup: make those Secrets in kube-system anew.']),
  ]
}

export interface RestoredFacts {
  readonly nodeName: string
  readonly others: readonly string[]
  readonly clusterId: string
  readonly revision: number
  /** Null: there was nothing before. */
  readonly keptIn: string | null
  readonly dataDir: string
}

export function renderRestored({ nodeName, others, revision, keptIn, dataDir }: RestoredFacts): string {
  const servers = others.length === 0 ? `${nodeName} is` : `${[nodeName, ...others].join(', ')} are`
  const kept =
    keptIn === null
      ? []
      : [`What was there before is in ${dataDir}/${keptIn}${others.length === 0 ? '' : ', on each server'}.`]
  return [`The state is restored, from revision ${revision} on; ${servers} Ready.`, ...kept].join('\n')
}

export interface PartOutcomeFacts {
  readonly name: string
  readonly action: string
  readonly remarks: readonly string[]
}

/** One line for each object that is not as before or deserves a word, and a sum. */
export function renderPartOutcomes(
  outcomes: readonly PartOutcomeFacts[],
  { dryRun }: { readonly dryRun: boolean },
): string {
  const told = outcomes.filter(({ action, remarks }) => action !== 'unchanged' || remarks.length > 0)
  const rows = told.map(({ name, action, remarks }) => [action, name, remarks.join('; ')])
  const count = (action: string) => outcomes.filter(outcome => outcome.action === action).length
  const sums = ['added', 'changed', 'unchanged', 'left', 'failed'].map(action => `${count(action)} ${action}`)
  const verb = dryRun ? 'It would be' : 'It is'
  return [...(rows.length === 0 ? [] : [renderColumns(rows)]), `${verb}: ${sums.join(', ')}.`].join('\n')
}
