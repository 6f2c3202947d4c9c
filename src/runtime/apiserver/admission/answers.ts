/**
 * Expressions run without a pause, and what an authorizer says may take time. Such an answer ends the run, is waited
 * for and remembered, and the run begins anew: it asks the same and has the same answers up to there.
 */
import { must } from '../../../base/assert.ts'
import type { Authorizer, Decision, RequestAttributes } from '../ports.ts'

/** Answers at once, or throws what `untilAnswered` waits for. */
export interface Answers {
  authorize(attributes: RequestAttributes): Decision
}

/** No expression can pay for more questions. */
const ROUNDS_MAX = 64

class Unanswered extends Error {
  readonly answer: Promise<void>

  constructor(answer: Promise<void>) {
    super('the authorizer has not answered yet')
    this.answer = answer
  }
}

/** For one request: a question that was answered is not asked again. */
export function rememberAnswers(authorizer: Authorizer): Answers {
  const known = new Map<string, Decision>()
  return {
    authorize(attributes) {
      const key = known.size === 0 ? '' : keyOf(attributes)
      if (known.has(key)) return must(known.get(key), 'a known answer')
      const decision = authorizer.authorize(attributes)
      if (!(decision instanceof Promise)) return decision
      throw new Unanswered(
        decision.then(answer => {
          known.set(keyOf(attributes), answer)
        }),
      )
    },
  }
}

const keyOf = (attributes: RequestAttributes): string => JSON.stringify(attributes)

/** What `run` comes to once all that it asks is answered. It must do nothing but find that out. */
export async function untilAnswered<T>(run: () => T): Promise<T> {
  for (let round = 1; ; round += 1) {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof Unanswered) || round === ROUNDS_MAX) throw error
      await error.answer
    }
  }
}
