/** Where a program is, among directories such as those of PATH. */
import { accessSync, constants, statSync } from 'node:fs'
import { join } from 'node:path'

/** The first file of that name (on Windows ending in .exe) that may be run; empty names of directories are left out. */
export function findExecutable(name: string, directories: readonly string[]): string | undefined {
  return directories
    .filter(directory => directory !== '')
    .map(directory => join(directory, process.platform === 'win32' ? `${name}.exe` : name))
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
