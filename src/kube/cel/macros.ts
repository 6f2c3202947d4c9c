/** Macros: calls that stand for a larger expression, which the parser puts in their place. */
import type { CallNode, Expr, FoldNode } from './ast.ts'
import { SyntaxProblem } from './source-error.ts'
import { BOOL, INT } from './types.ts'
import type { CelValue } from './values.ts'

/** The accumulator of the macros; no source can name it. */
export const ACCUMULATOR = '@result'
const UNUSED = '#unused'

type Expander = (node: CallNode, at: number) => Expr | null

/** The expansion of a call that is a macro; null for any other. */
export function expandMacro(node: CallNode): Expr | null {
  if (node.target === null) return node.name === 'has' && node.args.length === 1 ? expandHas(node) : null
  const isBind = node.name === 'bind' && node.target.kind === 'ident' && node.target.name === 'cel'
  if (isBind && node.args.length === 3) return expandBind(node)
  const expander = MEMBERS.get(`${node.name}/${node.args.length}`)
  return expander === undefined ? null : expander(node, node.at)
}

function expandHas(node: CallNode): Expr {
  const [argument] = node.args
  if (argument?.kind !== 'select' || argument.test) {
    throw new SyntaxProblem(argument?.at ?? node.at, 'invalid argument to has() macro')
  }
  return { ...argument, at: node.at, test: true }
}

const constant = (at: number, value: CelValue): Expr => ({
  kind: 'const',
  at,
  value,
  type: typeof value === 'bigint' ? INT : BOOL,
})
const ident = (at: number, name: string): Expr => ({ kind: 'ident', at, name })
const accumulated = (at: number): Expr => ident(at, ACCUMULATOR)
const call = (at: number, name: string, ...args: Expr[]): Expr => ({
  kind: 'call',
  at,
  name,
  target: null,
  args,
})
const emptyList = (at: number): Expr => ({ kind: 'list', at, items: [], optional: new Set() })
const listOfOne = (at: number, item: Expr): Expr => ({ kind: 'list', at, items: [item], optional: new Set() })
const emptyMap = (at: number): Expr => ({ kind: 'map', at, entries: [] })

function argument(node: CallNode, index: number): Expr {
  const found = node.args[index]
  if (found === undefined) throw new SyntaxProblem(node.at, 'missing argument')
  return found
}

function simpleName(node: CallNode, index: number): string {
  const found = argument(node, index)
  if (found.kind !== 'ident' || found.name.startsWith('.')) {
    throw new SyntaxProblem(found.at, 'argument must be a simple name')
  }
  return found.name
}

interface Loop {
  readonly init: Expr
  readonly condition?: Expr
  readonly step: Expr
  readonly result?: Expr
}

/** A fold over the target; with `variables` 2 the first names the index or key. */
function fold(node: CallNode, at: number, variables: 1 | 2, loop: Loop): FoldNode {
  const first = simpleName(node, 0)
  const second = variables === 2 ? simpleName(node, 1) : null
  if (first === second) {
    throw new SyntaxProblem(argument(node, 1).at, `duplicate variable name: ${first}`)
  }
  return {
    kind: 'fold',
    at,
    range: node.target as Expr,
    variable: first,
    second,
    accumulator: ACCUMULATOR,
    init: loop.init,
    condition: loop.condition ?? constant(at, true),
    step: loop.step,
    result: loop.result ?? accumulated(at),
  }
}

const all =
  (variables: 1 | 2): Expander =>
  (node, at) =>
    fold(node, at, variables, {
      init: constant(at, true),
      condition: call(at, '@not_strictly_false', accumulated(at)),
      step: call(at, '_&&_', accumulated(at), argument(node, variables)),
    })

const exists =
  (variables: 1 | 2): Expander =>
  (node, at) =>
    fold(node, at, variables, {
      init: constant(at, false),
      condition: call(at, '@not_strictly_false', call(at, '!_', accumulated(at))),
      step: call(at, '_||_', accumulated(at), argument(node, variables)),
    })

const existsOne =
  (variables: 1 | 2): Expander =>
  (node, at) => {
    const one = call(at, '_+_', accumulated(at), constant(at, 1n))
    return fold(node, at, variables, {
      init: constant(at, 0n),
      step: call(at, '_?_:_', argument(node, variables), one, accumulated(at)),
      result: call(at, '_==_', accumulated(at), constant(at, 1n)),
    })
  }

/** The step, only where the filter holds when there is one. */
function filtered(node: CallNode, at: number, filterAt: number | null, step: Expr): Expr {
  return filterAt === null ? step : call(at, '_?_:_', argument(node, filterAt), step, accumulated(at))
}

function mapping(variables: 1 | 2, hasFilter: boolean): Expander {
  return (node, at) => {
    const item = argument(node, variables + (hasFilter ? 1 : 0))
    const step = call(at, '_+_', accumulated(at), listOfOne(at, item))
    return fold(node, at, variables, {
      init: emptyList(at),
      step: filtered(node, at, hasFilter ? variables : null, step),
    })
  }
}

const filter: Expander = (node, at) => {
  const step = call(at, '_+_', accumulated(at), listOfOne(at, ident(at, simpleName(node, 0))))
  return fold(node, at, 1, { init: emptyList(at), step: filtered(node, at, 1, step) })
}

function transformMap(hasFilter: boolean, isEntry: boolean): Expander {
  return (node, at) => {
    const item = argument(node, hasFilter ? 3 : 2)
    const step = isEntry
      ? call(at, 'cel.@mapInsert', accumulated(at), item)
      : call(at, 'cel.@mapInsert', accumulated(at), ident(at, simpleName(node, 0)), item)
    return fold(node, at, 2, { init: emptyMap(at), step: filtered(node, at, hasFilter ? 2 : null, step) })
  }
}

/** `result` with `name` bound to `value`, as a fold over nothing. */
function bind(at: number, name: string, value: Expr, result: Expr): Expr {
  return {
    kind: 'fold',
    at,
    range: emptyList(at),
    variable: UNUSED,
    second: null,
    accumulator: name,
    init: value,
    condition: constant(at, false),
    step: ident(at, name),
    result,
  }
}

const expandBind = (node: CallNode): Expr =>
  bind(node.at, simpleName(node, 0), argument(node, 1), argument(node, 2))

const optionalMap =
  (isFlat: boolean): Expander =>
  (node, at) => {
    const target = node.target as Expr
    const member = (name: string): Expr => ({ kind: 'call', at, name, target, args: [] })
    const mapped = bind(at, simpleName(node, 0), member('value'), argument(node, 1))
    const then = isFlat ? mapped : call(at, 'optional.of', mapped)
    return call(at, '_?_:_', member('hasValue'), then, call(at, 'optional.none'))
  }

const MEMBERS: ReadonlyMap<string, Expander> = new Map<string, Expander>([
  ['all/2', all(1)],
  ['all/3', all(2)],
  ['exists/2', exists(1)],
  ['exists/3', exists(2)],
  ['exists_one/2', existsOne(1)],
  ['existsOne/2', existsOne(1)],
  ['exists_one/3', existsOne(2)],
  ['existsOne/3', existsOne(2)],
  ['map/2', mapping(1, false)],
  ['map/3', mapping(1, true)],
  ['filter/2', filter],
  ['transformList/3', mapping(2, false)],
  ['transformList/4', mapping(2, true)],
  ['transformMap/3', transformMap(false, false)],
  ['transformMap/4', transformMap(true, false)],
  ['transformMapEntry/3', transformMap(false, true)],
  ['transformMapEntry/4', transformMap(true, true)],
  ['optMap/2', optionalMap(false)],
  ['optFlatMap/2', optionalMap(true)],
])
