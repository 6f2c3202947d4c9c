/** A table of nftables in the kernel, made equal to parts; it knows what it has loaded and says only what differs. */
import type { Log } from '../../base/log.ts'
import { runProgram } from '../../host/programs.ts'
import { PROBE_CHAIN } from './base-part.ts'
import { filledSets, keptElements } from './kept-elements.ts'
import { changeTable, type PartChange, type TablePart } from './table-part.ts'

export interface NftTableParts {
  /** Which nobody else on this machine uses, with its family: `ip mk8s`. */
  readonly name: string
  /** Runs `nft` where the rules belong; on this machine unless given. */
  readonly run?: typeof runProgram | undefined
  readonly log: Log
}

const LOAD_MS_MAX = 60_000

export class NftTable {
  readonly #name: string
  readonly #run: typeof runProgram
  readonly #log: Log
  #loaded = new Map<string, TablePart>()
  #cleaning: readonly string[] = []
  /** What the kernel has is not known: by an earlier daemon, or after something failed. */
  #isUnknown = true

  constructor({ name, run, log }: NftTableParts) {
    this.#name = name
    this.#run = run ?? runProgram
    this.#log = log
  }

  /**
   * By name: parts that changed, null for those that are gone. All or nothing. What nothing leads to since an earlier
   * load goes in the same step.
   */
  async load(changed: ReadonlyMap<string, TablePart | null>): Promise<void> {
    const isFresh = this.#isUnknown
    const next = new Map(this.#loaded)
    for (const [name, part] of changed) {
      if (part === null) next.delete(name)
      else next.set(name, part)
    }
    const changes = isFresh
      ? [...next.values()].map(after => ({ before: null, after }))
      : [...changed].map(([name, after]) => ({ before: this.#loaded.get(name) ?? null, after }))
    const { text, cleaning } = changeTable(this.#name, changes)
    if (text === '') return
    const stale = isFresh ? [] : unwanted(this.#cleaning, changes)
    // What an earlier daemon loaded is replaced in one step, by rules for the same connections.
    const table = this.#name
    const reset = isFresh ? `add table ${table}\ndelete table ${table}\nadd table ${table}\n` : ''
    const kept = isFresh ? await this.#keep(next.values()) : []
    this.#isUnknown = true
    await this.#nft(`${reset}${linesOf(stale)}${text}${linesOf(kept)}`)
    this.#isUnknown = false
    this.#loaded = next
    this.#cleaning = isFresh ? [] : cleaning
  }

  /** There are chains and sets that nothing leads to any more. */
  get isUntidy(): boolean {
    return this.#cleaning.length > 0
  }

  /** Takes them away, where no further change has done it meanwhile. */
  async tidy(): Promise<void> {
    const stale = this.#cleaning
    if (stale.length === 0) return
    this.#cleaning = []
    try {
      await this.#nft(linesOf(stale))
    } catch (error) {
      // They do no harm, and go with the next load, which begins afresh.
      this.#isUnknown = true
      this.#log.debug('old chains could not be removed', { error })
    }
  }

  /** False when somebody took it out of the kernel; the next load brings everything back. */
  async isThere(): Promise<boolean> {
    const args = ['flush', 'chain', ...this.#name.split(' '), PROBE_CHAIN]
    const { exitCode } = await this.#run('nft', args, { accept: 'any' })
    if (exitCode !== 0) this.#isUnknown = true
    return exitCode === 0
  }

  /** Clients go on with the endpoints that they have. */
  async #keep(parts: Iterable<TablePart>): Promise<string[]> {
    const names = filledSets(parts)
    if (names.size === 0) return []
    const args = ['-j', 'list', 'table', ...this.#name.split(' ')]
    const { stdout } = await this.#run('nft', args, { accept: 'any' })
    return keptElements(stdout, this.#name, names)
  }

  async #nft(input: string): Promise<void> {
    await this.#run('nft', ['-f', '-'], { input, timeoutMs: LOAD_MS_MAX })
  }
}

/** What came back meanwhile stays. */
function unwanted(stale: readonly string[], changes: readonly PartChange[]): readonly string[] {
  if (stale.length === 0) return stale
  const back = new Set(
    changes.flatMap(({ after }) => (after === null ? [] : [...after.chains.keys(), ...after.sets.keys()])),
  )
  return stale.filter(line => !back.has(line.split(' ').at(-1) ?? ''))
}

const linesOf = (lines: readonly string[]): string => lines.map(line => `${line}\n`).join('')

/** Takes all of its rules out of the kernel, of both families. Does nothing where there are none. */
export async function removeNftables(table: string): Promise<void> {
  for (const family of ['ip', 'ip6']) {
    const input = `add table ${family} ${table}\ndelete table ${family} ${table}\n`
    await runProgram('nft', ['-f', '-'], { input, accept: 'any' })
  }
}
