/** The program by the path that it was installed from. */
import { fileURLToPath } from 'node:url'
import { isBundled } from './assets.ts'

export function ownProgram(): string {
  return isBundled ? process.execPath : fileURLToPath(new URL('../../bin/mk8s', import.meta.url))
}
