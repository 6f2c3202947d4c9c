/** Small things that several pages are made of. */
import { html } from 'htm/preact'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Problem } from './session.ts'

/** Takes the focus when the page changes, so that the keyboard and screen readers begin there. */
export function Heading({ children, note }: { children?: ComponentChildren; note?: ComponentChildren }) {
  const ref = useRef<HTMLHeadingElement>(null)
  const text = String(children)
  useLayoutEffect(() => {
    document.title = `${text} · mk8s`
    ref.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [text])
  return html`<div class="heading"><h1 tabindex="-1" ref=${ref}>${children}</h1>${note}</div>`
}

export function Trouble({ problem }: { problem: Problem | null }) {
  if (problem === null || problem.status === 401) return null
  return html`<div class="trouble" role="alert">
    <strong>${problem.message}</strong> ${problem.next !== '' && html`<span>${problem.next}</span>`}
  </div>`
}

export const Loading = () => html`<p class="empty" role="status">Loading …</p>`

export const Empty = ({ children }: { children?: ComponentChildren }) =>
  html`<p class="empty">${children}</p>`

export type Tone = 'good' | 'bad' | 'warn' | 'plain'

/** Colour never stands alone: the text says it too. */
export const Badge = ({ tone, children }: { tone: Tone; children?: ComponentChildren }) =>
  html`<span class=${`badge ${tone}`}>${children}</span>`

const GOOD = /^(Running|Ready|True|Active|Bound|Complete|Completed|Succeeded|Normal|yes|Scheduled|Available)$/
const BAD = /(Err|Fail|BackOff|NotReady|Unknown|Evicted|Lost|OOM|False|Invalid|Unschedulable)/
const WARN =
  /^(Pending|Warning|Terminating|ContainerCreating|PodInitializing|Init:|Progressing|Suspended|Disabling)/

export function toneOf(text: string): Tone {
  if (BAD.test(text)) return 'bad'
  if (WARN.test(text)) return 'warn'
  return GOOD.test(text.split(',')[0] ?? '') ? 'good' : 'plain'
}

/** Pairs of a word and its value. */
export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren])[] }) {
  const known = of.filter(([, value]) => value !== undefined && value !== null && value !== '')
  return html`<dl class="facts">
    ${known.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`
}

export function Section({ title, children }: { title: string; children?: ComponentChildren }) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`
  return html`<section aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`
}

interface PlainTable {
  readonly label: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly ComponentChildren[])[]
}

/** A short table, all of it at once. */
export const PlainTable = ({ label, head, rows }: PlainTable) =>
  html`<div class="scroll" role="region" aria-label=${label} tabindex="0">
    <table role="table">
      <thead><tr>${head.map(name => html`<th scope="col" key=${name}>${name}</th>`)}</tr></thead>
      <tbody>${rows.map(
        (row, at) =>
          html`<tr key=${at} role="row">${row.map((cell, column) =>
            column === 0
              ? html`<th scope="row" role="rowheader" data-head=${head[column]}><div>${cell}</div></th>`
              : html`<td role="cell" data-head=${head[column]}><div>${cell}</div></td>`,
          )}</tr>`,
      )}</tbody>
    </table>
  </div>`

interface Asking {
  readonly word: string
  readonly question: string
  readonly isHarmful?: boolean
  /** A number to be given with it, and what it is now. */
  readonly amount?: number
  readonly act: (amount: number) => Promise<void>
}

/** A button that asks first. The dialog keeps the focus and gives it back. */
export function AskingButton({ word, question, isHarmful, amount, act }: Asking) {
  const ref = useRef<HTMLDialogElement>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [isBusy, setBusy] = useState(false)
  const [value, setValue] = useState(amount ?? 0)
  const go = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    try {
      await act(value)
      ref.current?.close()
    } catch (error) {
      setProblem(error as Problem)
    }
    setBusy(false)
  }
  const open = () => {
    setProblem(null)
    setValue(amount ?? 0)
    ref.current?.showModal()
  }
  return html`<button type="button" class=${isHarmful ? 'harmful' : ''} onClick=${open}>${word}</button>
    <dialog ref=${ref} aria-label=${question}>
      <form onSubmit=${go}>
        <p>${question}</p>
        ${
          amount !== undefined &&
          html`<label>Replicas <input type="number" min="0" max="10000" required value=${value}
            onInput=${(event: InputEvent) => setValue(Number((event.target as HTMLInputElement).value))} /></label>`
        }
        <${Trouble} problem=${problem} />
        <div class="buttons">
          <button type="button" onClick=${() => ref.current?.close()}>Cancel</button>
          <button type="submit" class=${isHarmful ? 'harmful' : 'main'} disabled=${isBusy}>${word}</button>
        </div>
      </form>
    </dialog>`
}
