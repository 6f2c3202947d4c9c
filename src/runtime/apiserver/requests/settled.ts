/**
 * Steps that cannot wait, in the middle of which a webhook turns out to be needed: they are given up, and done again
 * from the beginning once its answer is known.
 */

/** Thrown by what needs an answer that is still to come. */
export class Unsettled extends Error {
  override readonly name = 'Unsettled'
  readonly pending: Promise<unknown>

  constructor(pending: Promise<unknown>) {
    super('an answer is still to come')
    this.pending = pending
  }
}

/** Of one step; each asks for one version of one object. */
const ANSWERS_MAX = 100

/** What `run` returns; it is run again after each answer, and must not change anything until it has all of them. */
export async function settled<T>(run: () => T | Promise<T>): Promise<T> {
  for (let answers = 0; ; answers++) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof Unsettled) || answers === ANSWERS_MAX) throw error
      await error.pending
    }
  }
}
