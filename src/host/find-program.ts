/** Where a program is, among directories such as those of PATH. */
import { accessSync, constants, statSync } from 'node:fs'
import { join } from 'node:path'
import { system } from './system.ts'

/** The first file of that name (on Windows ending in .exe) that may be run; empty names of directories are left out. */
export function findExecutable(name: string, directories: readonly string[]): string | undefined {
  return directories
    .filter(directory => directory !== '')
    .map(directory => join(directory, system === 'windows' ? `${name}.exe` : name))
    .find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
