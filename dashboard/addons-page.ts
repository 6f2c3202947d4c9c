/** Add-ons: what there is, what is enabled, and how it does; and backups by schedule. */
import { html } from 'htm/preact'
import { type Schedule, useClusterStatus } from './cluster-status.ts'
import { useCollection } from './collection.ts'
import { bytesOf, timeOf } from './format.ts'
import { ADDONS, type KubeObject, pathOf } from './kinds.ts'
import { Badge, Empty, Facts, Heading, Loading, PlainTable, Section, Trouble, toneOf } from './parts.ts'

export function Addons() {
  const { value: status, problem } = useClusterStatus()
  const collected = useCollection({ path: pathOf(ADDONS), whole: true })
  const byName = new Map(collected.rows.map(({ object }) => [object.metadata.name, object]))
  const known = status?.addons ?? []
  return html`<${Heading}>Add-ons<//>
    <${Trouble} problem=${problem ?? collected.problem} />
    ${status === null && problem === null && html`<${Loading} />`}
    ${
      status !== null &&
      html`<${Section} title="Enabled"><div class="cards">${known
        .filter(({ enabled }) => enabled)
        .map(
          addon => html`<${AddonCard} key=${addon.name} addon=${addon} object=${byName.get(addon.name)} />`,
        )}</div><//>
      <${Section} title="To be had"><${PlainTable} label="Add-ons to be had" head=${['Add-on', 'Version', 'What it is', 'Command']}
        rows=${known.filter(({ enabled }) => !enabled).map(({ name, version, description }) => [name, version, description, html`<code>mk8s enable ${name}</code>`])} /><//>`
    }`
}

interface AddonCardProps {
  readonly addon: { readonly name: string; readonly version: string; readonly description: string }
  readonly object: KubeObject | undefined
}

interface NodeReport {
  readonly name: string
  readonly part: string
  readonly ready: boolean
  readonly message: string
}

function AddonCard({ addon, object }: AddonCardProps) {
  const phase: string = object?.status?.phase ?? 'Ready'
  const reports = (object?.status?.nodes ?? []) as readonly NodeReport[]
  const parameters = Object.entries((object?.spec?.parameters ?? {}) as Record<string, unknown>)
  const bad = reports.filter(({ ready }) => !ready)
  return html`<article class="card"><h3>${addon.name} <small>${addon.version}</small> <${Badge} tone=${toneOf(phase)}>${phase}<//></h3>
    <p>${addon.description}</p>
    ${[object?.status?.failing, phase === 'Ready' ? '' : object?.status?.message].filter(Boolean).map(text => html`<p key=${text} class="next">${text}</p>`)}
    ${parameters.length > 0 && html`<p>${parameters.map(([name, value]) => html`<code class="label" key=${name}>${name}=${String(value)}</code> `)}</p>`}
    ${reports.length > 0 && html`<p>On ${reports.length - bad.length} of ${reports.length} nodes ready.</p>`}
    ${bad.map(({ name, message }) => html`<p key=${name} class="next">${name}: ${message}</p>`)}
  </article>`
}

export function Backups() {
  const { value: status, problem } = useClusterStatus()
  return html`<${Heading}>Backups<//>
    <${Trouble} problem=${problem} />
    ${status === null && problem === null && html`<${Loading} />`}
    ${
      status !== null &&
      status.backups.length === 0 &&
      html`<${Empty}>No backup is made by schedule. On a server: <code>mk8s backup schedule set nightly --cron "0 3 * * *" --to /mnt/backups --keep 7</code><//>`
    }
    ${(status?.backups ?? []).map(schedule => html`<${ScheduleSection} key=${schedule.name} schedule=${schedule} />`)}`
}

function ScheduleSection({ schedule }: { schedule: Schedule }) {
  const { name, state, spec, nextRunAt, lastSuccess, running, runs } = schedule
  return html`<${Section} title=${name}>
    <${Facts} of=${[
      ['State', html`<${Badge} tone=${toneOf(state)}>${state}<//>`],
      ['When', `${spec.cron} (${spec.timeZone})`],
      ['To', html`<code>${spec.to}</code>`],
      ['Next', nextRunAt === null ? 'never' : timeOf(nextRunAt)],
      [
        'Last success',
        lastSuccess === null ? html`<${Badge} tone="warn">none yet<//>` : timeOf(lastSuccess.finishedAt),
      ],
      ['Running', running && `on ${running.node} since ${timeOf(running.startedAt)}`],
    ]} />
    ${
      runs.length === 0
        ? html`<${Empty}>It has not run yet.<//>`
        : html`<${PlainTable} label=${`Runs of ${name}`} head=${['Finished', 'Outcome', 'Size', 'Took', 'On', 'File']}
            rows=${runs.map(run => [
              timeOf(run.finishedAt),
              html`<${Badge} tone=${toneOf(run.outcome)}>${run.outcome}<//>${run.error !== null && html`<p class="next">${run.error.message} ${run.error.hint}</p>`}`,
              run.bytes === 0 ? '–' : bytesOf(run.bytes),
              `${(run.durationMs / 1000).toFixed(1)} s`,
              run.node,
              run.file,
            ])} />`
    }
  <//>`
}
