/** A file that somebody names on the command line; `-` is the standard input. */
import { readFileSync } from 'node:fs'
import { Mk8sError, messageOf } from '../base/errors.ts'

export function readGiven(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new Mk8sError('usage', `${file} cannot be read`, { why: messageOf(cause), cause })
  }
}
