/**
 * Puts a file in the place of another that may be running. Windows lets nobody overwrite or delete what runs, but it
 * may be renamed: it goes aside, and is deleted by a later replacement, once nothing runs from it.
 */
import { existsSync, globSync, linkSync, rmSync } from 'node:fs'
import { renameSync } from './rename.ts'
import { system } from './system.ts'

const ASIDE = '.aside-'

/** `from` takes the name `to`. On Windows there is a moment without either, and what fails is taken back. */
export function moveOver(from: string, to: string): void {
  if (system !== 'windows') {
    renameSync(from, to)
    return
  }
  const aside = setAside(to)
  try {
    renameSync(from, to)
  } catch (error) {
    if (aside !== undefined) renameSync(aside, to)
    throw error
  }
  if (aside !== undefined) attempt(() => rmSync(aside))
}

/** The same file gets a second name, which another file may have had until now. */
export function linkOver(from: string, to: string): void {
  const temporary = `${to}.link`
  rmSync(temporary, { force: true })
  linkSync(from, temporary)
  moveOver(temporary, to)
  // A rename onto another link of the same file leaves both.
  rmSync(temporary, { force: true })
}

/** Undefined when there was nothing. */
function setAside(path: string): string | undefined {
  for (const left of globSync(`${path.replaceAll('\\', '/')}${ASIDE}*`)) attempt(() => rmSync(left))
  if (!existsSync(path)) return undefined
  for (let number = 1; ; number++) {
    const aside = `${path}${ASIDE}${number}`
    if (existsSync(aside)) continue
    renameSync(path, aside)
    return aside
  }
}

function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // Something still runs from it.
  }
}
