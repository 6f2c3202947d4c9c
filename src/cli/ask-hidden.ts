/** Asks for a secret on the terminal that belongs to the process, whatever its standard input and output lead to. */
import { closeSync, openSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { Mk8sError } from '../base/errors.ts'
import { system } from '../host/system.ts'

/** After this nobody is there. */
const ANSWER_MS_MAX = 120_000
const LENGTH_MAX = 1_024
const [INTERRUPT, BACKSPACE, DELETE] = ['\u0003', '\b', '\u007f']
const ENDS = ['\r', '\n', INTERRUPT, '\u0004']

/** Typed before it was asked for: the answer to the next question. */
let ahead = ''

/** Without its echo. Undefined: there is no terminal. */
export async function askHidden(question: string): Promise<string | undefined> {
  const terminal = openTerminal()
  if (terminal === undefined) return undefined
  const { input, close } = terminal
  process.stderr.write(question)
  try {
    return await readHidden(input)
  } finally {
    input.setRawMode(false)
    input.pause()
    close()
    process.stderr.write('\n')
  }
}

function openTerminal(): { readonly input: ReadStream; close(): void } | undefined {
  if (system === 'windows')
    return process.stdin.isTTY
      ? { input: process.stdin as unknown as ReadStream, close: () => {} }
      : undefined
  try {
    const file = openSync('/dev/tty', 'r+')
    try {
      const input = new ReadStream(file)
      return { input, close: () => input.destroy() }
    } catch {
      closeSync(file)
      return undefined
    }
  } catch {
    return undefined
  }
}

function readHidden(input: ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = ahead
    const timer = setTimeout(
      () => reject(new Mk8sError('refused', 'nobody gave a passphrase within two minutes')),
      ANSWER_MS_MAX,
    )
    const take = (text: string): void => {
      typed = (typed + text).slice(0, LENGTH_MAX)
      const letters = [...typed]
      const end = letters.findIndex(letter => ENDS.includes(letter))
      if (end < 0) return
      clearTimeout(timer)
      input.removeAllListeners('data')
      ahead = letters.slice(end + 1).join('')
      if (letters[end] === INTERRUPT) reject(new Mk8sError('refused', 'no passphrase was given'))
      else resolve(corrected(letters.slice(0, end)))
    }
    input.setRawMode(true)
    input.setEncoding('utf8').on('data', take)
    take('')
  })
}

/** What is left of a line after its own corrections. */
function corrected(line: readonly string[]): string {
  const letters: string[] = []
  for (const letter of line) {
    if (letter === BACKSPACE || letter === DELETE) letters.pop()
    else letters.push(letter)
  }
  return letters.join('')
}
