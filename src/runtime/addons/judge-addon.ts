/** What is to be said of an enabled add-on, out of its objects and its parts on all nodes. Pure. */
import type { KubeObject } from '../../kube/object.ts'
import type { Node } from '../../kube/types.ts'
import type { Addon, NodeReport, ObjectName } from './addon-object.ts'
import type { ReadinessRule } from './definition.ts'
import { describe } from './plan-objects.ts'
import { judge, judgeCondition, type Verdict } from './readiness.ts'

/** What keeps it from being ready. */
export interface Failing {
  readonly object: string
  readonly reason: string
}

export interface Seen {
  readonly name: ObjectName
  /** Null: it is not there. */
  readonly object: KubeObject | null
}

export function firstFailing(seen: readonly Seen[]): (Failing & { readonly name: ObjectName }) | null {
  for (const { name, object } of seen) {
    const verdict: Verdict = object === null ? { ready: false, reason: 'it is missing' } : judge(object)
    if (!verdict.ready) return { object: describe(name), reason: verdict.reason, name }
  }
  return null
}

export function failingRule(rules: readonly (ReadinessRule & Pick<Seen, 'object'>)[]): Failing | null {
  for (const { object, condition, ...name } of rules) {
    const subject = describe(name)
    if (object === null) return { object: subject, reason: 'it is not there yet' }
    const verdict = condition === undefined ? judge(object) : judgeCondition(object, condition)
    if (!verdict.ready) return { object: subject, reason: verdict.reason }
  }
  return null
}

/** Nodes that are not Ready count for nothing: what runs there, runs once they are back. */
export function failingPart(
  parts: readonly string[],
  nodes: readonly Node[],
  reports: readonly NodeReport[],
  parameters: string,
): Failing | null {
  for (const node of nodes.filter(isReady)) {
    for (const part of parts) {
      const name = node.metadata.name ?? ''
      const object = `part ${part} on node ${name}`
      const report = reports.find(one => one.name === name && one.part === part)
      if (report === undefined || report.parameters !== parameters)
        return { object, reason: 'the node has not started it yet' }
      if (!report.ready) return { object, reason: report.message }
    }
  }
  return null
}

/** What parts say although they are ready; nodes that say the same are told together. */
export function remarksOf(reports: readonly NodeReport[]): string {
  const said = Map.groupBy(
    reports.filter(({ ready, message }) => ready && message !== ''),
    ({ message }) => message,
  )
  const texts = Array.from(said, ([message, nodes]) => `${namesOf(nodes)}: ${message}`)
  return texts.slice(0, REMARKS_MAX).join('; ')
}

function namesOf(reports: readonly NodeReport[]): string {
  const names = reports.slice(0, REMARKS_MAX).map(({ name }) => name)
  const more = reports.length - names.length
  return [...names, ...(more > 0 ? [`${more} more`] : [])].join(', ')
}

const REMARKS_MAX = 10

/** A part that a disabled add-on still has on a node that is Ready. */
export function runningPart(nodes: readonly Node[], reports: readonly NodeReport[]): string | null {
  const ready = nodes.filter(isReady).map(({ metadata }) => metadata.name)
  const found = reports.find(({ name }) => ready.includes(name))
  return found === undefined ? null : `part ${found.part} on node ${found.name}`
}

const isReady = ({ status }: Node): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

/** Dependencies that are not enabled. */
export function missingDependencies(dependencies: readonly string[], addons: readonly Addon[]): string[] {
  return dependencies.filter(
    name => !addons.some(({ metadata, spec }) => metadata.name === name && spec?.enabled !== false),
  )
}
