/**
 * What an expression may cost before it runs, as upstream estimates it: by the largest sizes that the types allow.
 * Without a bound on sizes the largest cost is as good as unbounded.
 */
import type { CallNode, Expr, FoldNode } from './ast.ts'
import { LIST_COST, MAP_COST, SELECT_COST, STRUCT_COST } from './budget.ts'
import type { Checked } from './checker.ts'
import type { Overload } from './functions.ts'
import type { CelType } from './types.ts'
import { sizeOf } from './values.ts'

export interface CostRange {
  readonly min: number
  readonly max: number
}
export type SizeRange = CostRange

const COST_MAX = 2 ** 64

export function estimateCost(expr: Expr, checked: Checked, sizes: ReadonlyMap<string, SizeRange>): CostRange {
  return new Estimator(checked, sizes).cost(expr)
}

const NOTHING: CostRange = { min: 0, max: 0 }
const ONE: CostRange = { min: 1, max: 1 }
const exactly = (cost: number): CostRange => ({ min: cost, max: cost })
const capped = (value: number): number => (value > COST_MAX || Number.isNaN(value) ? COST_MAX : value)

const add = (...costs: readonly CostRange[]): CostRange => ({
  min: capped(costs.reduce((sum, cost) => sum + cost.min, 0)),
  max: capped(costs.reduce((sum, cost) => sum + cost.max, 0)),
})
const either = (a: CostRange, b: CostRange): CostRange => ({
  min: Math.min(a.min, b.min),
  max: Math.max(a.max, b.max),
})
const times = (a: CostRange, b: CostRange): CostRange => ({
  min: capped(a.min * b.min),
  max: capped(a.max * b.max),
})

class Estimator {
  readonly #checked: Checked
  readonly #declared: ReadonlyMap<string, SizeRange>
  readonly #costs = new Map<Expr, CostRange>()
  readonly #sizes = new Map<Expr, SizeRange>()
  /** Of the accumulators that are in sight. */
  readonly #locals: (readonly [string, SizeRange])[] = []

  constructor(checked: Checked, declared: ReadonlyMap<string, SizeRange>) {
    this.#checked = checked
    this.#declared = declared
  }

  cost(expr: Expr): CostRange {
    const known = this.#costs.get(expr)
    if (known !== undefined) return known
    const cost = this.#costOf(expr)
    this.#costs.set(expr, cost)
    this.#sizes.set(expr, this.#sizeOf(expr))
    return cost
  }

  #costOf(expr: Expr): CostRange {
    switch (expr.kind) {
      case 'const':
        return NOTHING
      case 'ident':
        return exactly(SELECT_COST)
      case 'select':
        if (this.#checked.references.has(expr)) return exactly(SELECT_COST)
        return expr.test ? this.cost(expr.operand) : add(this.cost(expr.operand), exactly(SELECT_COST))
      case 'call':
        return this.#call(expr)
      case 'list':
        return add(exactly(LIST_COST), ...expr.items.map(item => this.cost(item)))
      case 'map': {
        const parts = expr.entries.flatMap(entry => [this.cost(entry.key), this.cost(entry.value)])
        return add(exactly(MAP_COST), ...parts)
      }
      case 'struct':
        return add(exactly(STRUCT_COST), ...expr.fields.map(field => this.cost(field.value)))
      default:
        return this.#fold(expr)
    }
  }

  #call(expr: CallNode): CostRange {
    const resolved = this.#checked.calls.get(expr)
    const args = resolved?.args ?? expr.args
    const costs = args.map(arg => this.cost(arg))
    const [first = NOTHING, second = NOTHING, third = NOTHING] = costs
    if (expr.name === '_&&_' || expr.name === '_||_') {
      return { min: first.min, max: capped(first.max + second.max) }
    }
    if (expr.name === '_?_:_') return add(first, either(second, third))
    const overloads = resolved?.overloads ?? []
    const sizes = args.map(arg => this.size(arg))
    const own = overloads
      .map(overload => ownCost(overload, sizes))
      .reduce(either, overloads.length === 0 ? ONE : firstOf(overloads, sizes))
    return add(own, ...costs)
  }

  #fold(expr: FoldNode): CostRange {
    const range = this.cost(expr.range)
    const init = this.cost(expr.init)
    const count = this.size(expr.range)
    const depth = this.#locals.length
    this.#locals.push([expr.accumulator, this.#accumulated(expr, count)])
    const loop = add(this.cost(expr.condition), this.cost(expr.step))
    const result = this.cost(expr.result)
    this.#locals.length = depth
    return add(range, init, times(count, loop), result)
  }

  #accumulated(expr: FoldNode, count: SizeRange): SizeRange {
    const isCollection = expr.init.kind === 'list' || expr.init.kind === 'map'
    const isGrowing = isCollection && expr.accumulator.startsWith('@')
    return isGrowing ? { min: 0, max: count.max } : this.size(expr.init)
  }

  size(expr: Expr): SizeRange {
    return this.#sizes.get(expr) ?? this.#sizeOf(expr)
  }

  #sizeOf(expr: Expr): SizeRange {
    switch (expr.kind) {
      case 'const':
        return exactly(sizeOf(expr.value))
      case 'list':
        return { min: expr.items.length - expr.optional.size, max: expr.items.length }
      case 'map':
        return exactly(expr.entries.length)
      case 'ident': {
        const local = this.#locals.findLast(([name]) => name === expr.name)
        return local?.[1] ?? this.#declared.get(expr.name) ?? this.#byType(expr)
      }
      case 'call':
        return this.#callSize(expr)
      case 'fold':
        return this.#byResult(expr)
      default:
        return this.#byType(expr)
    }
  }

  #byResult(expr: FoldNode): SizeRange {
    const isAccumulator = expr.result.kind === 'ident' && expr.result.name === expr.accumulator
    return isAccumulator ? this.#accumulated(expr, this.size(expr.range)) : this.size(expr.result)
  }

  #callSize(expr: CallNode): SizeRange {
    if (expr.name === '_?_:_') {
      const [, then, otherwise] = expr.args as [Expr, Expr, Expr]
      return either(this.size(then), this.size(otherwise))
    }
    const resolved = this.#checked.calls.get(expr)
    const formula = resolved?.overloads.find(overload => overload.resultSize !== undefined)?.resultSize
    if (resolved === undefined || formula === undefined) return this.#byType(expr)
    const sizes = resolved.args.map(arg => this.size(arg))
    return {
      min: capped(formula(...sizes.map(size => size.min))),
      max: capped(formula(...sizes.map(size => size.max))),
    }
  }

  #byType(expr: Expr): SizeRange {
    return sizeByType(this.#checked.types.get(expr))
  }
}

const SIZED: ReadonlySet<CelType['kind']> = new Set<CelType['kind']>([
  'string',
  'bytes',
  'list',
  'map',
  'dyn',
  'optional',
])

function sizeByType(type: CelType | undefined): SizeRange {
  if (type === undefined || !SIZED.has(type.kind)) return ONE
  const most = 'maxElements' in type ? type.maxElements : undefined
  return { min: 0, max: most ?? COST_MAX }
}

const firstOf = (overloads: readonly Overload[], sizes: readonly SizeRange[]): CostRange =>
  overloads[0] === undefined ? ONE : ownCost(overloads[0], sizes)

function ownCost({ cost }: Overload, sizes: readonly SizeRange[]): CostRange {
  if (cost === undefined) return ONE
  return {
    min: capped(cost(...sizes.map(size => size.min))),
    max: capped(cost(...sizes.map(size => size.max))),
  }
}
