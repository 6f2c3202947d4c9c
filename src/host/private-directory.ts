/** Directories that nobody but the system and its administrators may look into; what is made in them is as private. */
import { chmodSync, chownSync, statSync } from 'node:fs'
import { runProgram } from './programs.ts'
import { system } from './system.ts'

/** The system and the administrators by their numbers, because their names are those of the machine's language. */
const MAY_USE = ['*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F']

/** On Windows, modes say nothing: there an access list that everything below inherits takes their place. */
export async function makePrivate(path: string, mode: number, groupId?: number): Promise<void> {
  if (system === 'windows') {
    await runProgram('icacls.exe', [path, '/inheritance:r', '/grant:r', ...MAY_USE, '/q'])
    return
  }
  if (groupId !== undefined) chownSync(path, 0, groupId)
  chmodSync(path, mode)
}

/** Undefined when it is not there; on Windows, one that is there has the mode that it was made with. */
export function modeOfDirectory(path: string): number | 'as-made' | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isDirectory()) return undefined
  return system === 'windows' ? 'as-made' : stat.mode & 0o777
}
