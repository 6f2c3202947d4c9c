/** Which users of the machine a pod with a user namespace has: 65536 of them that no other pod of the node has. */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../base/errors.ts'
import { writeFileDurably } from '../../host/files.ts'
import type { IdRange } from './runtime/runtime.ts'

export interface UserRangesParts {
  /** Of the pods, by uid. */
  readonly directory: string
  /** Texts of `/etc/subuid` and `/etc/subgid`. */
  readonly subordinates: () => Promise<{ readonly users: string; readonly groups: string }>
}

/** Whom the machine's administrator set aside. */
export async function readSubordinates(): ReturnType<UserRangesParts['subordinates']> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  return { users: await read('/etc/subuid'), groups: await read('/etc/subgid') }
}

const LENGTH = 65_536
/** As many as upstream's kubelet gives away when nobody set any aside. */
const PODS_MAX = 110
/** As upstream calls it. */
const FILE = 'userns'
const OWNER = 'kubelet'

interface Mapping {
  readonly hostId: number
  readonly containerId: number
  readonly length: number
}

export class UserRanges {
  readonly #parts: UserRangesParts
  readonly #taken = new Map<string, IdRange>()
  #all: IdRange | undefined
  #loading: Promise<void> | undefined

  constructor(parts: UserRangesParts) {
    this.#parts = parts
  }

  /** The one that it has, also from before a restart, or a free one, which is written down first. */
  async rangeOf(uid: string): Promise<IdRange> {
    this.#loading ??= this.#load()
    await this.#loading.catch(error => {
      this.#loading = undefined
      throw error
    })
    const known = this.#taken.get(uid)
    if (known !== undefined) return known
    const range = firstFree(this.#all ?? usualRange(), [...this.#taken.values()])
    this.#taken.set(uid, range)
    const mapping: Mapping = { hostId: range.first, containerId: 0, length: range.count }
    try {
      await this.#note(uid, { uidMappings: [mapping], gidMappings: [mapping] })
    } catch (error) {
      // The next try must not rely on what a later daemon would not know of, and would give to another pod.
      this.#taken.delete(uid)
      throw error
    }
    return range
  }

  async #note(uid: string, mappings: object): Promise<void> {
    const directory = join(this.#parts.directory, uid)
    await mkdir(directory, { recursive: true, mode: 0o750 })
    writeFileDurably(join(directory, FILE), JSON.stringify(mappings), 0o600)
  }

  /** Nothing of the pod runs any more, and its directory is gone. */
  forget(uid: string): void {
    this.#taken.delete(uid)
  }

  async #load(): Promise<void> {
    const { directory, subordinates } = this.#parts
    const { users, groups } = await subordinates()
    this.#all = parseSubordinates(users, groups)
    for (const uid of await readdir(directory).catch(() => [])) {
      const text = await readFile(join(directory, uid, FILE), 'utf8').catch(() => null)
      const mapping =
        text === null ? undefined : (JSON.parse(text) as { uidMappings: Mapping[] }).uidMappings[0]
      if (mapping !== undefined) this.#taken.set(uid, { first: mapping.hostId, count: mapping.length })
    }
  }
}

/** The first are the machine's own. */
const usualRange = (): IdRange => ({ first: LENGTH, count: PODS_MAX * LENGTH })

/** Pure. @throws when all of them are taken. */
export function firstFree(all: IdRange, taken: readonly IdRange[]): IdRange {
  const used = new Set(taken.map(({ first }) => first))
  for (let first = all.first; first + LENGTH <= all.first + all.count; first += LENGTH) {
    if (!used.has(first)) return { first, count: LENGTH }
  }
  throw new Mk8sError('kubelet/runtime', 'could not find an empty slot to allocate a user namespace')
}

/** Pure: what the machine's administrator set aside for the user `kubelet`; undefined for none. */
export function parseSubordinates(users: string, groups: string): IdRange | undefined {
  const [ofUsers, ofGroups] = [users, groups].map(rangesOf)
  const [own, ...others] = ofUsers ?? []
  if (own === undefined) return undefined
  const [ownGroups] = ofGroups ?? []
  const refuse = (why: string) => new Mk8sError('kubelet/runtime', `/etc/subuid, ${OWNER}: ${why}`)
  if (others.length > 0) throw refuse('there is more than one range')
  if (own.first !== ownGroups?.first || own.count !== ownGroups.count) {
    throw refuse('the range in /etc/subgid is another one')
  }
  if (own.first < LENGTH || own.first % LENGTH !== 0 || own.count % LENGTH !== 0 || own.count === 0) {
    throw refuse(`the range has to begin at a multiple of ${LENGTH} and to be one`)
  }
  return own
}

const rangesOf = (text: string): IdRange[] =>
  text
    .split('\n')
    .map(line => line.trim().split(':'))
    .filter(([name]) => name === OWNER)
    .map(([, first, count]) => ({ first: Number(first), count: Number(count) }))
