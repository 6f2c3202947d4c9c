/** Looks up groups of the operating system. */
import { readFileSync } from 'node:fs'

/** Members may use the admin socket; that is as good as being root. */
export const ADMIN_GROUP = 'mk8s'

/** The group's number, or undefined when there is no such group. */
export function groupId(name: string): number | undefined {
  try {
    const line = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find(each => each.startsWith(`${name}:`))
    const id = Number(line?.split(':')[2])
    return Number.isInteger(id) ? id : undefined
  } catch {
    return undefined
  }
}
