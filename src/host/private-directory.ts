/** Directories that nobody but the system and its administrators may look into; what is made in them is as private. */
import { chmodSync, chownSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { Mk8sError } from '../base/errors.ts'
import { diskFailure, makeDirectory } from './files.ts'
import { runProgram } from './programs.ts'
import { system } from './system.ts'

/** The system and the administrators by their numbers, because their names are those of the machine's language. */
const MAY_USE = ['*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F']

/** Makes it and its parents; one that is there is closed to others. */
export async function makePrivate(path: string, mode: number, groupId?: number): Promise<void> {
  try {
    if (system === 'windows') return await makeClosed(path)
    makeDirectory(path, mode)
    if (groupId !== undefined) chownSync(path, 0, groupId)
    chmodSync(path, mode)
  } catch (error) {
    throw error instanceof Mk8sError ? error : diskFailure(path, error)
  }
}

/**
 * On Windows, modes say nothing: there an access list that everything below inherits takes their place. Where a node's
 * directory is to be, every user may make one and has it then: an empty one is made again.
 */
async function makeClosed(path: string): Promise<void> {
  const isEmpty = entriesOf(path)?.length === 0
  if (isEmpty) rmdirSync(path)
  const isNew = isEmpty || entriesOf(path) === undefined
  makeDirectory(path, 0o700)
  await runProgram('icacls.exe', [path, '/inheritance:r', '/grant:r', ...MAY_USE, '/q'])
  if (isNew && entriesOf(path)?.length !== 0)
    throw new Mk8sError('refused', `somebody else made files in ${path} before it was closed`, {
      hint: 'look at them and at who made them, remove the directory, and run the command again',
    })
}

/** Undefined when it is not there; on Windows, one that holds anything has the mode that it was made with. */
export function modeOfDirectory(path: string): number | 'as-made' | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isDirectory()) return undefined
  if (system !== 'windows') return stat.mode & 0o777
  return entriesOf(path)?.length === 0 ? undefined : 'as-made'
}

function entriesOf(path: string): readonly string[] | undefined {
  try {
    return readdirSync(path)
  } catch {
    return undefined
  }
}
