/** Sets the size of a terminal that another program made. Of sizes that come faster than that, the last counts. */
import { runProgram } from '../../../../host/programs.ts'
import type { TerminalSize } from '../streams.ts'

const TERMINAL_PATH = /^\/dev\/[\w/-]+$/

export class Terminal {
  #path: string | null = null
  #wanted: TerminalSize | null = null
  #isBusy = false

  /** Sizes wait until it is known which one it is. */
  found(path: string): void {
    if (!TERMINAL_PATH.test(path)) return
    this.#path = path
    void this.#apply()
  }

  resize(size: TerminalSize): void {
    this.#wanted = size
    void this.#apply()
  }

  async #apply(): Promise<void> {
    if (this.#isBusy || this.#path === null) return
    this.#isBusy = true
    while (this.#wanted !== null) {
      const { width, height } = this.#wanted
      this.#wanted = null
      const args = ['-F', this.#path, 'rows', String(height), 'cols', String(width)]
      // The program may have ended, and its terminal with it.
      await runProgram('stty', args).catch(() => {})
    }
    this.#isBusy = false
  }
}
