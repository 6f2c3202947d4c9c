/**
 * Logging: a constant message in plain words, values as fields, one JSON object per line on stderr.
 * error: someone must act · warn: degraded, may heal · info: a rare change of state · debug: each step.
 */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Log
}

const ranks: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }

export interface LogParts {
  readonly level: LogLevel
  readonly write: (line: string) => void
  readonly now: () => number
}

/** A JSON-lines logger. An `error` field that holds an Error is written as its message and stack. */
export function createLog(parts: LogParts, fields: LogFields = {}): Log {
  const emit = (level: LogLevel, message: string, extra?: LogFields) => {
    if (ranks[level] < ranks[parts.level]) return
    const line = { time: new Date(parts.now()).toISOString(), level, message, ...fields, ...extra }
    parts.write(`${JSON.stringify(line, errorReplacer)}\n`)
  }
  return {
    debug: (message, extra) => emit('debug', message, extra),
    info: (message, extra) => emit('info', message, extra),
    warn: (message, extra) => emit('warn', message, extra),
    error: (message, extra) => emit('error', message, extra),
    child: extra => createLog(parts, { ...fields, ...extra }),
  }
}

function errorReplacer(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value
  return { message: value.message, stack: value.stack, cause: value.cause }
}

/** A logger that drops everything. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
}
