/** Files of a command that go with it, however it ends. */
import { rmSync } from 'node:fs'
import { EXIT_INTERRUPTED } from '../../base/errors.ts'

/** What is in the set goes when the process is interrupted; a set, because it changes. */
export function removedAtExit(): Set<string> {
  const leftovers = new Set<string>()
  process.on('exit', () => {
    for (const path of leftovers) rmSync(path, { force: true })
  })
  for (const signal of ['SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(EXIT_INTERRUPTED))
  return leftovers
}
