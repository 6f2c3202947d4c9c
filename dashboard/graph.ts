/** A line over time: one value, its limit, and the words that say it to those who do not see it. */
import { html } from 'htm/preact'

export interface Sample {
  readonly at: number
  readonly value: number
}

interface GraphProps {
  readonly title: string
  readonly samples: readonly Sample[]
  /** What there is of it; 0: not known. */
  readonly limit: number
  readonly show: (value: number) => string
}

const WIDTH = 300
const HEIGHT = 80

export function Graph({ title, samples, limit, show }: GraphProps) {
  const values = samples.map(({ value }) => value)
  const now = values.at(-1)
  if (now === undefined)
    return html`<figure class="graph"><figcaption>${title}<strong>–</strong></figcaption>
      <p class="empty small">No measurement yet.</p></figure>`
  const highest = Math.max(...values, 0)
  // A line that never leaves the ground says nothing, so the limit is the top only when it is near.
  const top = (limit > 0 && highest > limit / 4 ? limit : highest * 1.3) || 1
  const [from, to] = [samples[0]?.at ?? 0, samples.at(-1)?.at ?? 0]
  const x = (at: number) => (to === from ? WIDTH : ((at - from) / (to - from)) * WIDTH)
  const y = (value: number) => HEIGHT - (value / top) * (HEIGHT - 4)
  const line = samples.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ')
  const minutes = Math.round((to - from) / 60_000)
  const of = limit > 0 ? ` of ${show(limit)}` : ''
  const share = limit > 0 ? ` (${Math.round((now / limit) * 100)} %)` : ''
  const words = `${title}: ${show(now)}${of}${share}; between ${show(Math.min(...values))} and ${show(highest)} in the last ${minutes} minutes`
  return html`<figure class="graph">
    <figcaption>${title}<strong>${show(now)}</strong><span>${of}${share}</span></figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${words}>
      <line x1="0" x2=${WIDTH} y1=${HEIGHT / 2} y2=${HEIGHT / 2} class="grid" />
      ${
        samples.length > 1
          ? html`<polygon points=${`0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} class="area" />
            <polyline points=${line} class="line" />`
          : html`<line x1="0" x2=${WIDTH} y1=${y(now)} y2=${y(now)} class="line" />`
      }
    </svg>
    <div class="axis" aria-hidden="true"><span>${minutes > 0 ? `${minutes} min ago` : 'now'}</span><span>top ${show(top)}</span></div>
  </figure>`
}
