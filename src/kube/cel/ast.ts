/** The tree of an expression after its macros are expanded. `at` is the offset in the source. */
import type { CelType } from './types.ts'
import type { CelValue } from './values.ts'

interface Node {
  readonly at: number
}

export interface ConstNode extends Node {
  readonly kind: 'const'
  readonly value: CelValue
  readonly type: CelType
}

export interface IdentNode extends Node {
  readonly kind: 'ident'
  readonly name: string
}

export interface SelectNode extends Node {
  readonly kind: 'select'
  readonly operand: Expr
  readonly field: string
  /** `has(operand.field)`. */
  readonly test: boolean
}

export interface CallNode extends Node {
  readonly kind: 'call'
  /** Operators by their upstream names: `_+_`, `_?_:_`, `_[_]`, `@in`. */
  readonly name: string
  readonly target: Expr | null
  readonly args: readonly Expr[]
}

export interface ListNode extends Node {
  readonly kind: 'list'
  readonly items: readonly Expr[]
  /** Positions of `?item`. */
  readonly optional: ReadonlySet<number>
}

export interface MapNode extends Node {
  readonly kind: 'map'
  readonly entries: readonly MapEntry[]
}

export interface MapEntry extends Node {
  readonly key: Expr
  readonly value: Expr
  readonly optional: boolean
}

export interface StructNode extends Node {
  readonly kind: 'struct'
  readonly name: string
  readonly fields: readonly StructField[]
}

export interface StructField extends Node {
  readonly name: string
  readonly value: Expr
  readonly optional: boolean
}

/** A comprehension: what the macros over lists and maps become. */
export interface FoldNode extends Node {
  readonly kind: 'fold'
  readonly range: Expr
  readonly variable: string
  /** With it, `variable` is the index or the key. */
  readonly second: string | null
  readonly accumulator: string
  readonly init: Expr
  readonly condition: Expr
  readonly step: Expr
  readonly result: Expr
}

export type Expr = ConstNode | IdentNode | SelectNode | CallNode | ListNode | MapNode | StructNode | FoldNode

/** `a.b.c` when the expression is nothing but names. */
export function qualifiedName(expr: Expr): string | null {
  if (expr.kind === 'ident') return expr.name
  if (expr.kind !== 'select' || expr.test) return null
  const before = qualifiedName(expr.operand)
  return before === null ? null : `${before}.${expr.field}`
}

function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'const':
    case 'ident':
      return []
    case 'select':
      return [expr.operand]
    case 'call':
      return expr.target === null ? expr.args : [expr.target, ...expr.args]
    case 'list':
      return expr.items
    case 'map':
      return expr.entries.flatMap(entry => [entry.key, entry.value])
    case 'struct':
      return expr.fields.map(field => field.value)
    default:
      return [expr.range, expr.init, expr.condition, expr.step, expr.result]
  }
}

/** How many levels the tree has, found without recursion; counting stops behind `limit`. */
export function depthOf(root: Expr, limit: number): number {
  const seen = new Set<Expr>()
  let level: readonly Expr[] = [root]
  let depth = 0
  while (level.length > 0 && depth <= limit) {
    depth++
    const next: Expr[] = []
    for (const expr of level) {
      for (const child of childrenOf(expr)) {
        if (seen.has(child)) continue
        seen.add(child)
        next.push(child)
      }
    }
    level = next
  }
  return depth
}
