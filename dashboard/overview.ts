/** The first page: is the cluster well, who holds its data, what does it use. */
import { html } from 'htm/preact'
import { type ClusterStatus, type Member, useClusterStatus } from './cluster-status.ts'
import { useCollection } from './collection.ts'
import { bytesOf, coresOf, plural, quantity } from './format.ts'
import { Graph } from './graph.ts'
import { NODES, pathOf } from './kinds.ts'
import { Badge, Empty, Facts, Heading, Loading, PlainTable, Section, type Tone, Trouble } from './parts.ts'
import { usePolled } from './polling.ts'
import { linkTo } from './router.ts'
import { usageOf, useNodeUsage } from './usage.ts'

const COUNT_MS = 10_000

export function Overview() {
  const { value: status, problem } = useClusterStatus()
  return html`<${Heading}>Overview<//>
    <${Trouble} problem=${problem} />
    ${status === null ? problem === null && html`<${Loading} />` : html`<${Health} status=${status} />`}
    <${Resources} />
    ${status !== null && html`<${Datastore} status=${status} />`}`
}

function Health({ status }: { status: ClusterStatus }) {
  const { problems, datastore } = status
  const isWell = status.ready && problems.length === 0
  const tone: Tone = isWell ? 'good' : datastore?.healthy === false ? 'bad' : 'warn'
  const text = isWell
    ? 'The cluster is well'
    : problems.length === 0
      ? 'This server is not ready yet'
      : plural(problems.length, 'problem')
  return html`<div class=${`banner ${tone}`} role="status">
      <strong>${text}</strong>
      <span>mk8s ${status.version}, Kubernetes ${status.kubernetesVersion}, seen from ${status.node.name}</span>
    </div>
    ${
      problems.length > 0 &&
      html`<${Section} title="Problems"><ul class="problems">
        ${problems.slice(0, 50).map(
          each => html`<li key=${each.object + each.reason}>
            <${Badge} tone="warn">${each.reason}<//> <${ObjectLink} object=${each.object} />
            <p>${each.message}</p><p class="next">Next: <code>${each.next}</code></p>
          </li>`,
        )}
      </ul>${problems.length > 50 && html`<p>And ${problems.length - 50} more; <code>mk8s status</code> has all.</p>`}<//>`
    }`
}

function ObjectLink({ object }: { object: string }) {
  const [kind = '', ...rest] = object.split('/')
  if (kind === 'pod') return html`<a href=${linkTo('pods', ...rest)}>${object}</a>`
  if (kind === 'node') return html`<a href=${linkTo('nodes', ...rest)}>${object}</a>`
  return html`<strong>${object}</strong>`
}

interface Counted {
  readonly items: readonly unknown[]
  readonly metadata: { readonly remainingItemCount?: number }
}

function Resources() {
  const nodes = useCollection({ path: pathOf(NODES), whole: true })
  const pods = usePolled<Counted>('/api/v1/pods?limit=1', COUNT_MS)
  const { problem } = useNodeUsage()
  const objects = nodes.rows.map(({ object }) => object)
  const sum = (of: string) =>
    objects.reduce((all, { status }) => all + quantity(status?.allocatable?.[of]), 0)
  const ready = objects.filter(({ status }) =>
    status?.conditions?.some(
      (each: { type: string; status: string }) => each.type === 'Ready' && each.status === 'True',
    ),
  ).length
  const count =
    pods.value === null ? '…' : pods.value.items.length + (pods.value.metadata.remainingItemCount ?? 0)
  const usage = usageOf('nodes')
  return html`<${Section} title="Resources">
    <div class="tiles">
      <a class="tile" href=${linkTo('nodes')}><strong>${nodes.isLoaded ? `${ready} / ${objects.length}` : '…'}</strong><span>nodes ready</span></a>
      <a class="tile" href=${linkTo('workloads', 'pods')}><strong>${count.toLocaleString()}</strong><span>pods, of ${sum('pods').toLocaleString()} that fit</span></a>
      <${Graph} title="CPU" samples=${usage.cpu} limit=${sum('cpu')} show=${coresOf} />
      <${Graph} title="Memory" samples=${usage.memory} limit=${sum('memory')} show=${bytesOf} />
    </div>
    ${problem !== null && usage.cpu.length === 0 && html`<${Empty}>Nothing is measured: ${problem.message} The add-on metrics-server has to be on.<//>`}
  <//>`
}

function Datastore({ status: { datastore } }: { status: ClusterStatus }) {
  if (datastore === null) return null
  const { state, why } = datastore.highAvailability
  const tone: Tone = state === 'yes' ? 'good' : state === 'degraded' ? 'bad' : 'plain'
  return html`<${Section} title="Servers and their data">
    <${Facts} of=${[
      [
        'Writes',
        datastore.healthy
          ? html`<${Badge} tone="good">possible<//>`
          : html`<${Badge} tone="bad">not possible<//>`,
      ],
      ['High availability', html`<${Badge} tone=${tone}>${state}<//> ${why}`],
      ['Term', datastore.term],
      ['Revision', datastore.revision.toLocaleString()],
    ]} />
    <${PlainTable} label="Servers" head=${['Server', 'Role', 'State', 'Lag', 'Version', 'Address']}
      rows=${datastore.members.map(memberRow)} />
  <//>`
}

const memberRow = (member: Member) => [
  member.name,
  member.leader ? html`<strong>leader</strong>, ${member.role}` : member.role,
  html`<${Badge} tone=${member.alive ? 'good' : 'bad'}>${stateOf(member)}<//>`,
  member.leader
    ? '–'
    : member.lag === null
      ? 'unknown'
      : member.lag === 0
        ? 'none'
        : plural(member.lag, 'entry', 'entries'),
  member.version ?? 'unknown',
  html`${member.address}${member.failureDomain !== '' && ` in ${member.failureDomain}`}`,
]

function stateOf({ alive, stopped, leaving, silentMs }: Member): string {
  if (leaving) return 'leaving'
  if (alive) return 'alive'
  if (stopped) return 'stopped'
  return silentMs === null ? 'silent' : `silent for ${Math.round(silentMs / 1000)} s`
}
