/** Dark or light: as the system has it, unless somebody has chosen. */
import { html } from 'htm/preact'
import { useState } from 'preact/hooks'

const KEY = 'mk8s-dashboard-theme'
const NEXT = { system: 'light', light: 'dark', dark: 'system' } as const
type Theme = keyof typeof NEXT

const chosen = (): Theme => {
  const stored = localStorage.getItem(KEY)
  return stored === 'light' || stored === 'dark' ? stored : 'system'
}

export function applyTheme(theme = chosen()): void {
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}

export function ThemeSwitch() {
  const [theme, setTheme] = useState(chosen)
  const change = () => {
    const next = NEXT[theme]
    localStorage.setItem(KEY, next)
    applyTheme(next)
    setTheme(next)
  }
  return html`<button type="button" onClick=${change} aria-label=${`Colours: ${theme}. Change to ${NEXT[theme]}`}>
    <span aria-hidden="true">${{ system: '◐', light: '☀', dark: '☾' }[theme]}</span> <span class="wide">${theme}</span>
  </button>`
}
