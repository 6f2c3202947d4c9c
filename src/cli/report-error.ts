/**
 * The edge where an error becomes words for people: what, why, next, code. Expected failures and wrong usage
 * look alike; anything else is a bug, exits 70, and shows its stack.
 */
import { type ErrorCode, EXIT_BUG, Mk8sError, messageOf } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { StatusError } from '../kube/status.ts'

export interface ErrorReport {
  readonly what: string
  readonly why: readonly string[]
  readonly next: string
  /** From the table of codes, or `bug`. */
  readonly code: ErrorCode | 'bug'
  readonly exit: number
  readonly stack: string
}

export function reportOf(error: unknown, knownFlags: readonly string[] = []): ErrorReport {
  const failure = asUsageError(error, knownFlags) ?? asAnswer(error) ?? error
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  if (!(failure instanceof Mk8sError)) {
    const next = 'this is a bug in mk8s; please report it with the lines above'
    return { what: messageOf(failure), why: [], next, code: 'bug', exit: EXIT_BUG, stack }
  }
  const why = (failure.why ?? '').split('\n').filter(line => line !== '')
  return {
    what: ownWords(failure.message),
    why,
    next: failure.hint ?? '',
    code: failure.code,
    exit: failure.info.exit,
    stack,
  }
}

/** oclif's own errors carry the exit code that they ask for. */
interface ParserError extends Error {
  readonly oclif?: { readonly exit?: number }
  /** Flags that do not exist. */
  readonly flags?: readonly string[]
}

function asUsageError(error: unknown, knownFlags: readonly string[]): Mk8sError | undefined {
  if (error instanceof Mk8sError || !(error instanceof Error)) return undefined
  const { oclif, flags, message } = error as ParserError
  if (oclif?.exit !== 2) return undefined
  const [flag] = Array.isArray(flags) ? flags : []
  if (typeof flag !== 'string') {
    return new Mk8sError('usage', firstLetterLow(ownWords(message)), {
      hint: 'see --help',
      cause: error,
    })
  }
  const meant = nearest(flag, knownFlags)
  const hint = meant === undefined ? 'see --help' : `did you mean ${meant}?`
  return new Mk8sError('usage', `unknown flag ${flag}`, { hint, cause: error })
}

/** Without what oclif puts around an error about the value of a flag. */
function ownWords(message: string): string {
  const [text = ''] = message.split('\nSee more help')
  const [, flag = '', words] = /^Parsing (--\S+)\s+([\s\S]+)$/.exec(text) ?? []
  if (words === undefined) return text
  return words.includes(flag) ? words : `${flag}: ${firstLetterLow(words)}`
}

/** What the API said, and no command had a better word for. */
function asAnswer(error: unknown): Mk8sError | undefined {
  if (!(error instanceof StatusError)) return undefined
  const { code = 500 } = error.status
  if (code < 500 && code !== 429) return new Mk8sError('api/refused', error.message, { cause: error })
  return new Mk8sError('api/unreachable', 'the API server cannot answer now', {
    ...{ why: error.message, hint: 'mk8s status', cause: error },
  })
}

const firstLetterLow = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

/** Marks up words for a terminal; the identity where there are no colours. */
export interface Paint {
  bad(text: string): string
  good(text: string): string
  dim(text: string): string
}

export const plainPaint: Paint = { bad: text => text, good: text => text, dim: text => text }

export function renderReport(report: ErrorReport, paint: Paint, options: { debug: boolean }): string {
  const lines = [`${paint.bad('Error:')} ${report.what}`]
  const label = (name: string) => paint.dim(name.padEnd(7))
  const [first, ...more] = report.why
  if (first !== undefined) lines.push(`  ${label('why')}${first}`, ...more.map(line => `         ${line}`))
  if (report.next !== '') lines.push(`  ${label('next')}${report.next}`)
  const page = `docs/errors.md#${report.code.replaceAll('/', '-')}`
  lines.push(`  ${label('code')}${report.code}${report.code === 'bug' ? '' : `   (${page})`}`)
  if ((options.debug || report.code === 'bug') && report.stack !== '') lines.push(report.stack)
  return `${lines.join('\n')}\n`
}

export function renderReportAsJson(report: ErrorReport, options: { debug: boolean }): string {
  const { what, why, next, code, exit, stack } = report
  const shown = options.debug || code === 'bug' ? { stack } : {}
  return `${JSON.stringify({ error: { message: what, why: why.join('\n'), next, code, exit, ...shown } }, null, 2)}\n`
}
