/** The match conditions of webhooks. */
import type { MatchConditions } from './invocation.ts'

export function createMatchConditions(): MatchConditions {
  return {
    match: () => {
      throw new Error('this server does not evaluate match conditions yet')
    },
  }
}
