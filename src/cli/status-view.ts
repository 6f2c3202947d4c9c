/** How `mk8s status` shows a node: MicroK8s' words and layout, with reasons. Pure. */
import { unreachable } from '../base/assert.ts'
import {
  type DatastoreMember,
  type DatastoreStatus,
  type NodeStatus,
  type Problem,
  reasonsNotReady,
} from '../client/node-status.ts'
import { renderYaml } from '../kube/yaml.ts'
import { backupDocument, backupLines, shortBackupLines } from './backup-schedules-view.ts'
import type { Paint } from './report-error.ts'

/** Problems shown to people; JSON and YAML have all. */
const PROBLEMS_SHOWN = 5
/** A busy leader is always some entries ahead. */
const LAG_SHOWN_MIN = 100

export const statusFormats = ['pretty', 'short', 'yaml', 'json'] as const
export type StatusFormat = (typeof statusFormats)[number]

export function renderStatus(status: NodeStatus, format: StatusFormat, paint: Paint): string {
  switch (format) {
    case 'pretty':
      return renderPretty(status, paint)
    case 'short':
      return renderShort(status)
    case 'yaml':
      return renderYaml(microk8sDocument(status))
    case 'json':
      return `${JSON.stringify({ running: true, ...status }, null, 2)}\n`
    default:
      return unreachable(format)
  }
}

function renderPretty(status: NodeStatus, paint: Paint): string {
  const { node, datastore, runtime, addons } = status
  const head = status.ready ? paint.good('mk8s is running') : paint.bad('mk8s is running but not ready')
  const reasons = reasonsNotReady(status).map(reason => `  ${reason}`)
  return lines([
    head,
    ...reasons,
    `node: ${node.name} (${node.address}) is ${node.ready ? 'Ready' : 'not Ready'}`,
    `runtime: ${runtime.name} (${runtime.why})`,
    ...(datastore === null ? [WORKER_LINE] : datastoreLines(datastore, paint)),
    ...problemLines(status, paint),
    ...backupLines(status.backups, paint),
    'addons:',
    ...addonLines(addons, true),
    ...addonLines(addons, false),
  ])
}

const WORKER_LINE = 'role: worker, without a datastore; mk8s status on a server shows the cluster'

function datastoreLines({ members, highAvailability, healthy }: DatastoreStatus, paint: Paint): string[] {
  return [
    `high-availability: ${highAvailability.state}`,
    `  ${healthy ? paint.dim(highAvailability.why) : paint.bad(highAvailability.why)}`,
    `  datastore master nodes: ${addresses(members.filter(({ role }) => role === 'voter'))}`,
    `  datastore standby nodes: ${addresses(members.filter(({ role }) => role === 'standby'))}`,
    ...memberLines(members, paint),
  ]
}

/** MicroK8s shows no more than addresses; from two servers on there is more to tell. */
function memberLines(members: readonly DatastoreMember[], paint: Paint): string[] {
  if (members.length < 2) return []
  const [names, roles] = [columnOf(members.map(({ name }) => name)), columnOf(members.map(partOf))]
  return [
    '  datastore members:',
    ...members.map((member, at) => {
      const state = stateOf(member)
      return `    ${names[at]}  ${roles[at]}  ${member.alive ? state : paint.bad(state)}`
    }),
  ]
}

function columnOf(texts: readonly string[]): readonly string[] {
  const width = Math.max(...texts.map(({ length }) => length))
  return texts.map(text => text.padEnd(width))
}

const partOf = ({ role, leader, leaving }: DatastoreMember): string =>
  [role, ...(leader ? ['leader'] : []), ...(leaving ? ['leaving'] : [])].join(', ')

function stateOf(member: DatastoreMember): string {
  const { alive, lag, failureDomain, version } = member
  return [
    alive ? 'alive' : silenceOf(member),
    ...(lag !== null && lag >= LAG_SHOWN_MIN ? [`${lag} entries behind`] : []),
    ...(failureDomain === '' ? [] : [`failure domain ${failureDomain}`]),
    ...(version === null ? [] : [`v${version}`]),
  ].join(', ')
}

function silenceOf({ silentMs, stopped }: DatastoreMember): string {
  if (stopped) return 'stopped'
  return silentMs === null ? 'does not answer' : `silent for ${Math.round(silentMs / 1_000)} s`
}

/** Without those that the head of the output has told already. */
function problemLines({ problems, node }: NodeStatus, paint: Paint): string[] {
  const told = ({ object, reason }: Problem) =>
    (object.startsWith('component/') && reason !== 'Degraded') ||
    (object === `node/${node.name}` && !node.ready)
  const others = problems.filter(problem => !told(problem))
  if (others.length === 0) return []
  const shown = others.slice(0, PROBLEMS_SHOWN).flatMap(problem => problemText(problem, paint))
  const left = others.length - PROBLEMS_SHOWN
  const rest = left > 0 ? [`  and ${left} more: mk8s status --format json`] : []
  return [paint.bad('problems:'), ...shown, ...rest]
}

function problemText({ object, reason, message, next }: Problem, paint: Paint): string[] {
  const why = message === '' ? reason : `${reason}: ${message}`
  return [`  ${object}: ${why}`, `    ${paint.dim(`next: ${next}`)}`]
}

/** One line for logs and pipes: whether the node is ready, and the first thing that is wrong. */
export function summaryLine(status: NodeStatus): string {
  const state = status.ready ? 'ready' : 'not ready'
  const [first] = reasonsNotReady(status)
  const [problem] = status.problems
  const why = first ?? (problem === undefined ? '' : `${problem.object}: ${problem.reason}`)
  const more = status.problems.length > 1 ? ` (${status.problems.length} problems)` : ''
  return why === '' ? state : `${state}: ${why}${more}`
}

const lines = (parts: readonly string[]): string => `${parts.join('\n')}\n`

function addresses(members: readonly DatastoreMember[]): string {
  if (members.length === 0) return 'none'
  const shown = ({ address, alive, stopped }: DatastoreMember) =>
    alive ? address : `${address} (${stopped ? 'stopped' : 'silent'})`
  return members.map(shown).join(' ')
}

function addonLines(addons: NodeStatus['addons'], enabled: boolean): string[] {
  const shown = addons.filter(addon => addon.enabled === enabled)
  const listed = shown.map(
    addon => `    ${addon.name.padEnd(20)} # (${addon.repository}) ${addon.description}`,
  )
  return [`  ${enabled ? 'enabled' : 'disabled'}:`, ...listed]
}

function renderShort(status: NodeStatus): string {
  const addons = status.addons.map(
    ({ repository, name, enabled }) => `${repository}/${name}: ${enabled ? 'enabled' : 'disabled'}`,
  )
  const head = `mk8s is running${status.ready ? '' : ' but not ready'}`
  return lines([head, ...addons, ...shortBackupLines(status.backups)])
}

/** MicroK8s' keys, so that what parses its output parses ours; our own stand behind them. */
function microk8sDocument(status: NodeStatus): object {
  const { datastore, addons, node, runtime, components } = status
  return {
    mk8s: { running: true, ready: status.ready, version: status.version },
    ...(datastore && { 'high-availability': highAvailabilityOf(datastore) }),
    addons: addons.map(({ enabled, ...addon }) => ({ ...addon, status: enabled ? 'enabled' : 'disabled' })),
    node: { ...node },
    runtime: { ...runtime },
    components: components.map(component => ({ ...component })),
    problems: status.problems.map(problem => ({ ...problem })),
    backups: status.backups.map(backupDocument),
  }
}

const highAvailabilityOf = ({ members, highAvailability }: DatastoreStatus): object => ({
  enabled: highAvailability.enabled,
  state: highAvailability.state,
  reason: highAvailability.why,
  nodes: members.map(({ address, role, ...member }) => ({ address, role, ...member })),
})

/** What stands in for a status when nobody answers. */
export function renderNotRunning(format: StatusFormat, why: string, next = 'mk8s start'): string {
  if (format === 'json') return `${JSON.stringify({ running: false, ready: false, reason: why }, null, 2)}\n`
  if (format === 'yaml') return renderYaml({ mk8s: { running: false, ready: false, reason: why } })
  const reason = format === 'pretty' && why !== '' ? why.split('\n').map(line => `  ${line}`) : []
  return lines(['mk8s is not running', ...reason, ...(format === 'pretty' ? [`  next: ${next}`] : [])])
}
