/** Where `mk8s join` takes its token from, and how its own command line is hidden from the list of processes. */
import { readFileSync } from 'node:fs'
import { Mk8sError, messageOf } from '../base/errors.ts'

export interface TokenSources {
  /** Of the URL; null when it has `-` in its place. */
  readonly shown: string | null
  readonly file: string | undefined
  readonly env: string | undefined
  /** Reads standard input to its end. */
  readonly readStandardInput: () => Promise<string>
}

export interface FoundToken {
  readonly text: string
  /** It stood on the command line. */
  readonly wasShown: boolean
}

const STANDARD_INPUT = '-'

/** Order: the URL, `--token-file`, the environment, standard input. */
export async function findJoinToken(sources: TokenSources): Promise<FoundToken> {
  const { shown, file, env } = sources
  if (shown !== null && file !== undefined)
    throw new Mk8sError('usage', 'the URL holds a token, and --token-file names another', {
      hint: 'put - in the place of the token in the URL',
    })
  if (shown !== null) return { text: shown, wasShown: true }
  if (file !== undefined && file !== STANDARD_INPUT)
    return { text: firstLine(readTokenFile(file)), wasShown: false }
  if (file === undefined && env) return { text: firstLine(env), wasShown: false }
  return { text: firstLine(await sources.readStandardInput()), wasShown: false }
}

const firstLine = (text: string): string => text.trim().split(/\s/)[0] ?? ''

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Mk8sError('usage', `the file ${path} cannot be read`, { why: messageOf(error), cause: error })
  }
}

const INPUT_BYTES_MAX = 64 * 1024

export async function readStandardInput(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Join token: ')
  let text = ''
  for await (const chunk of process.stdin) {
    text += String(chunk)
    if (process.stdin.isTTY || text.length > INPUT_BYTES_MAX) break
  }
  return text
}

/** Overwrites the memory that `ps` and /proc show; what others have read before is theirs. */
export function hideArguments(command: string): void {
  process.title = `mk8s ${command}`
}
