/** Whom a container runs as: what the pod says, else its image, by the image's own list of users. */
import { readFile } from 'node:fs/promises'
import { Mk8sError } from '../../../../base/errors.ts'
import type { ContainerSecurity } from '../runtime.ts'
import { resolveInside } from './resolve-inside.ts'

export interface ContainerUser {
  readonly uid: number
  readonly gid: number
  readonly additionalGids: readonly number[]
}

interface Lists {
  readonly passwd: string
  readonly group: string
}

const NUMBER = /^\d+$/
const FILE_BYTES_MAX = 8 * 1024 * 1024

export async function readUserLists(rootfs: string): Promise<Lists> {
  const read = async (path: string) => {
    const inside = await resolveInside(rootfs, path)
    const text = inside === null ? '' : await readFile(inside, 'utf8').catch(() => '')
    return text.length > FILE_BYTES_MAX ? '' : text
  }
  return { passwd: await read('/etc/passwd'), group: await read('/etc/group') }
}

/** Pure. `imageUser` is `user`, `user:group`, or empty for root. */
export function userOf(security: ContainerSecurity, imageUser: string, lists: Lists): ContainerUser {
  const { runAsUser, runAsGroup, supplementalGroups = [] } = security
  const [imageName = '', imageGroup = ''] = imageUser.split(':')
  const wanted = runAsUser === undefined ? imageName || '0' : String(runAsUser)
  const users = rows(lists.passwd)
  const entry = users.find(([name, , uid]) => name === wanted || (NUMBER.test(wanted) && uid === wanted))
  if (entry === undefined && !NUMBER.test(wanted)) throw missing('user', wanted)
  const uid = Number(entry?.[2] ?? wanted)
  const groups = rows(lists.group)
  const gid = runAsGroup ?? (runAsUser === undefined ? groupNumber(imageGroup, groups) : undefined)
  const name = entry?.[0]
  const memberOf = (security.strictGroups ? [] : groups).flatMap(([, , id = '', members = '']) =>
    name !== undefined && members.split(',').includes(name) ? [Number(id)] : [],
  )
  const own = gid ?? Number(entry?.[3] ?? 0)
  return { uid, gid: own, additionalGids: [...new Set([own, ...memberOf, ...supplementalGroups])] }
}

function groupNumber(group: string, groups: readonly string[][]): number | undefined {
  if (group === '') return undefined
  if (NUMBER.test(group)) return Number(group)
  const found = groups.find(([name]) => name === group)
  if (found === undefined) throw missing('group', group)
  return Number(found[2])
}

const rows = (text: string): string[][] => text.split('\n').map(line => line.trim().split(':'))

const missing = (what: string, name: string) =>
  new Mk8sError('kubelet/runtime', `unable to find ${what} ${name}: no matching entries in its file`)
