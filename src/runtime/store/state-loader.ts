/** Rebuilds the state machine from what the store thread reads out of SQLite. */
import { must } from '../../base/assert.ts'
import type { StateMachine } from './mvcc/state-machine.ts'
import { type Rows, rowAt } from './row-columns.ts'
import { type FromStore, type LoadedState, RESULT_NUMBERS } from './thread-messages.ts'

export class StateLoader {
  readonly state: StateMachine
  #loaded: LoadedState | null = null

  constructor(state: StateMachine) {
    this.state = state
  }

  begin(loaded: LoadedState): void {
    this.#loaded = loaded
    const { leases } = loaded
    for (let at = 0; at < leases.length; at += 2) {
      this.state.restoreLease(leases[at] as number, leases[at + 1] as number)
    }
  }

  /** Values are cut out of the slab they came in, so that rows cost no copy. */
  addRows(rows: Rows, values: ArrayBuffer): void {
    const bytes = Buffer.from(values)
    const { compacted } = must(this.#loaded, 'the loaded state')
    let offset = 0
    for (const [at, key] of rows.keys.entries()) {
      const { sequence, revision, createRevision, version, lease, length } = rowAt(rows, at)
      const value = length < 0 ? null : bytes.subarray(offset, offset + length)
      const row = { sequence, revision, key, value, createRevision, version, lease }
      this.state.restoreRow(row, compacted)
      offset += Math.max(0, length)
    }
  }

  finish({ results }: Extract<FromStore, { type: 'loaded' }>): LoadedState {
    const loaded = must(this.#loaded, 'the loaded state')
    for (let at = 0; at < results.length; at += RESULT_NUMBERS) {
      const [index, proposer, request, revision, succeeded] = results.slice(at, at + RESULT_NUMBERS) as [
        number,
        number,
        number,
        number,
        number,
      ]
      this.state.restoreRemembered({ index, proposer, request, revision, succeeded: succeeded === 1 })
    }
    this.state.restored(loaded)
    return loaded
  }
}
