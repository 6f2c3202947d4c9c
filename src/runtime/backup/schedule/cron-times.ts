/**
 * The times that a cron expression names, in a time zone. A time that a change of the clock leaves out is taken right
 * after the change; one that comes twice is taken once, unless the expression names it by steps or lists.
 */
import { Cron } from 'croner'
import { Mk8sError, messageOf } from '../../../base/errors.ts'

const HOW = 'five fields: minute, hour, day of month, month, day of week; for example "0 3 * * *", or @daily'

export interface CronTimes {
  /** The first time after this one; null when there is none. */
  next(afterMs: number): number | null
  /** The last time at or before this one; null when there was none. */
  latest(atMs: number): number | null
}

/** Throws `config/invalid` for an expression or a time zone that are none, and when it names no time at all. */
export function cronTimes(expression: string, timeZone: string): CronTimes {
  mustBeTimeZone(timeZone)
  const cron = parse(expression, timeZone)
  return {
    next: afterMs => cron.nextRun(new Date(afterMs))?.getTime() ?? null,
    // What croner takes as the end does not belong to what it finds, and it counts whole seconds.
    latest: atMs => cron.previousRuns(1, new Date(atMs + 1_000 - (atMs % 1_000)))[0]?.getTime() ?? null,
  }
}

function mustBeTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch {
    throw new Mk8sError('config/invalid', `there is no time zone ${JSON.stringify(timeZone)}`, {
      hint: 'use a name such as UTC, Europe/Berlin or America/New_York',
    })
  }
}

function parse(expression: string, timezone: string): Cron {
  const refuse = (why: string) =>
    new Mk8sError('config/invalid', `the cron expression ${JSON.stringify(expression)} cannot be used`, {
      why,
      hint: HOW,
    })
  if (expression.startsWith('@reboot')) throw refuse('a schedule has no start of its own')
  let cron: Cron
  try {
    cron = new Cron(expression, { timezone, paused: true, mode: '5-part' })
  } catch (error) {
    throw refuse(messageOf(error).replace(/^Cron\w+: /, ''))
  }
  if (cron.nextRun() === null) throw refuse('it names no time that ever comes')
  return cron
}
