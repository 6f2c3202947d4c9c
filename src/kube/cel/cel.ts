/** The door: compiles an expression against an environment and evaluates it within a budget. */
import { depthOf, type Expr } from './ast.ts'
import { CostExceeded, CostMeter } from './budget.ts'
import { type Checked, checkExpression } from './checker.ts'
import type { CelEnv } from './env.ts'
import { type CostRange, estimateCost, type SizeRange } from './estimate.ts'
import { parseExpression } from './parser.ts'
import { type Bindings, planExpression, type Run, type Step } from './plan.ts'
import { formatProblems, SyntaxProblem } from './source-error.ts'
import type { CelType } from './types.ts'
import { CelError, type CelValue } from './values.ts'

export type Compiled =
  | { readonly ok: true; readonly program: Program }
  /** `ERROR: <input>:1:1: undeclared reference to 'x' (in container '')` and the line. */
  | { readonly ok: false; readonly message: string }

export type Outcome =
  | { readonly ok: true; readonly value: CelValue; readonly cost: number }
  | {
      readonly ok: false
      readonly error: string
      readonly cost: number
      /** The limit stopped it; nothing is wrong with the expression. */
      readonly isOverLimit: boolean
    }

/** Calls that follow one another (`a.b.c…`) nest too. */
const DEPTH_MAX = 800

/** Parses and checks; the environment says what may be referred to. */
export function compileExpression(source: string, env: CelEnv): Compiled {
  try {
    const expr = parseExpression(source)
    if (depthOf(expr, DEPTH_MAX) > DEPTH_MAX) {
      throw new SyntaxProblem(0, `expression recursion limit exceeded: ${DEPTH_MAX}`)
    }
    const result = checkExpression(expr, env)
    if (!result.ok) return { ok: false, message: formatProblems(source, result.problems) }
    return { ok: true, program: new Program(source, expr, result.checked, env) }
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error
    return { ok: false, message: formatProblems(source, [error]) }
  }
}

export class Program {
  readonly source: string
  readonly type: CelType
  readonly #expr: Expr
  readonly #checked: Checked
  readonly #env: CelEnv
  #step: Step | null = null

  constructor(source: string, expr: Expr, checked: Checked, env: CelEnv) {
    this.source = source
    this.type = checked.type
    this.#expr = expr
    this.#checked = checked
    this.#env = env
  }

  /** Whether the expression refers to the declared variable. */
  refersTo(variable: string): boolean {
    return this.#checked.references.values().some(one => one.kind === 'variable' && one.name === variable)
  }

  /** What an evaluation may cost at least and at most, by what the types say of sizes. */
  estimate(sizes: ReadonlyMap<string, SizeRange> = new Map()): CostRange {
    return estimateCost(this.#expr, this.#checked, sizes)
  }

  evaluate(bindings: Bindings, limit: number): Outcome {
    const meter = new CostMeter(limit)
    const run: Run = { bindings, meter, slots: [] }
    this.#step ??= planExpression(this.#expr, this.#checked, this.#env)
    try {
      const value = this.#step(run)
      return { ok: true, value, cost: meter.spent }
    } catch (error) {
      if (error instanceof CelError) return this.#failed(error, meter.spent, false)
      // A value that would be larger than the engine can hold, or nested deeper.
      if (error instanceof RangeError)
        return this.#failed(new CelError('value too large'), meter.spent, false)
      if (error instanceof CostExceeded) return this.#failed(error, meter.spent, true)
      throw error
    }
  }

  #failed(error: Error, cost: number, isOverLimit: boolean): Outcome {
    return { ok: false, error: error.message, cost, isOverLimit }
  }
}
