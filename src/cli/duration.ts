/** Spans of time as people write them: `30d`, `12h`, `90m`. Pure. */
import { Mk8sError } from '../base/errors.ts'

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }

/** Throws `usage` for a text that is none; `flag` is what the user gave it to. */
export function secondsIn(text: string, flag: string): number {
  const [, amount = '', unit = ''] = /^([1-9]\d{0,8})([smhdw])$/.exec(text) ?? []
  const seconds = Number(amount) * (SECONDS[unit] ?? 0)
  if (seconds > 0) return seconds
  throw new Mk8sError('usage', `${flag} ${text} is no span of time`, {
    why: 'it has to be a number with s, m, h, d or w behind it',
    hint: 'for example 30d',
  })
}

/** In the largest unit that it is whole in. */
export function spanInWords(seconds: number): string {
  const units = Object.entries(SECONDS).toReversed()
  const [name, length] = units.find(([, each]) => seconds % each === 0) ?? ['s', 1]
  return `${seconds / length}${name}`
}
