/** The terminal: what it can do, results to standard output, questions, colours. */
import { createInterface } from 'node:readline/promises'
import { Mk8sError } from '../base/errors.ts'
import { type Paint, plainPaint } from './report-error.ts'

type Stream = NodeJS.WriteStream

/** Colours only on a terminal that knows them and whose user has not said no (https://no-color.org). */
export function hasColours(stream: Stream, env: Readonly<Record<string, string | undefined>>): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
}

export async function paintFor(stream: Stream): Promise<Paint> {
  if (!hasColours(stream, process.env)) return plainPaint
  const { Chalk } = await import('chalk')
  const chalk = new Chalk({ level: 1 })
  return { bad: text => chalk.red.bold(text), good: text => chalk.green(text), dim: text => chalk.dim(text) }
}

/** A command's result. */
export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2))

/** A remark that is no result. */
export function remark(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** A reader that goes away (`| head`) ends the program quietly instead of with a bug report. */
export function endWithReader(stream: Stream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

/** Asks before harm is done; without a terminal to ask on, only `--yes` will do. */
export async function confirm(question: string, { yes }: { yes: boolean }): Promise<void> {
  if (yes) return
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new Mk8sError('refused', 'this would delete data, and there is no terminal to ask on', {
      hint: 'say --yes if that is what you want',
    })
  }
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await reader.question(`${question} [y/N] `)
    if (!/^y(es)?$/i.test(answer.trim())) throw new Mk8sError('refused', 'not confirmed; nothing was changed')
  } finally {
    reader.close()
  }
}
