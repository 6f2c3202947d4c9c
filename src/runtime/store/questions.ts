/** Questions to another thread, or to another member, that are answered by their number. Bounded in time. */
import { type Clock, sleep } from '../../base/clock.ts'

export class Questions<Answer> {
  readonly #clock: Clock
  readonly #waiting = new Map<number, (answer: Answer | null) => void>()
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `post` gets the number to ask under. Null when no answer came in time, or none will come any more. */
  async ask(timeoutMs: number, post: (question: number) => void): Promise<Answer | null> {
    const question = ++this.#last
    const answered = new Promise<Answer | null>(resolve => this.#waiting.set(question, resolve))
    post(question)
    const over = new AbortController()
    const late = sleep(this.#clock, timeoutMs, over.signal).then(
      () => null,
      () => null,
    )
    const answer = await Promise.race([answered, late])
    this.#waiting.delete(question)
    over.abort()
    return answer
  }

  answer(question: number, answer: Answer): void {
    this.#waiting.get(question)?.(answer)
  }

  end(): void {
    for (const resolve of this.#waiting.values()) resolve(null)
    this.#waiting.clear()
  }
}
