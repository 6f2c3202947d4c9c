/** The program by the path that it was installed from. */
import { fileURLToPath } from 'node:url'
import { isBundled } from './assets.ts'

export interface OwnCommand {
  readonly program: string
  readonly args: readonly string[]
}

/** What is run as a process of its own without the command line: a hidden command, or from the sources the file. */
export const ownEntry = (command: string, file: URL): OwnCommand => ({
  program: process.execPath,
  args: [isBundled ? command : fileURLToPath(file)],
})

export function ownProgram(): string {
  return isBundled ? process.execPath : fileURLToPath(new URL('../../bin/mk8s', import.meta.url))
}
