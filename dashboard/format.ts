/** Times, sizes and amounts as people read them. */

export function ageOf(time: string | undefined, now = Date.now()): string {
  const since = Date.parse(time ?? '')
  if (Number.isNaN(since)) return '–'
  const seconds = Math.max(0, Math.floor((now - since) / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

export const timeOf = (time: string | null | undefined): string => {
  const at = new Date(time ?? '')
  return Number.isNaN(at.getTime()) ? '–' : at.toLocaleString()
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 },
  ...{ Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3, Ti: 1024 ** 4, Pi: 1024 ** 5 },
}

/** `250m` → 0.25, `1Gi` → 1073741824. */
export function quantity(text: string | number | undefined): number {
  const match = /^([\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(String(text ?? ''))
  return match === null ? 0 : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1)
}

export function bytesOf(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1]
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export const coresOf = (cores: number): string => `${cores.toFixed(cores < 0.1 ? 3 : 2)} cores`

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString()} ${count === 1 ? one : many}`
