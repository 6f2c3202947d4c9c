/** Log lines that cross a thread: a worker posts them, and the main thread writes them. */
import type { Log, LogFields, LogLevel } from './log.ts'

export interface LogLine {
  readonly type: 'log'
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

/** A logger whose lines are written by the main thread. */
export function threadLog(post: (line: LogLine) => void): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      post({ type: 'log', level, message, fields })
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  }
  return log
}

/** An Error says more in words than it does when it is copied. */
export function withErrorsInWords({ fields, ...line }: LogLine): LogLine {
  const inWords = (value: unknown) => (value instanceof Error ? (value.stack ?? '') : value)
  return {
    ...line,
    fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, inWords(value)])),
  }
}
