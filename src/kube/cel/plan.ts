/**
 * Turns a checked expression into a function. The variables of comprehensions live in numbered slots; every step
 * is charged to the run's meter as upstream's interpreter charges it.
 */
import type { CallNode, Expr, FoldNode, ListNode, MapNode, SelectNode, StructNode } from './ast.ts'
import { type CostMeter, LIST_COST, MAP_COST, SELECT_COST, STRUCT_COST } from './budget.ts'
import type { Checked, ResolvedCall } from './checker.ts'
import type { CelEnv } from './env.ts'
import { isOfKind, type Overload } from './functions.ts'
import { fieldOf, hasField, indexOf, optionalField, optionalIndex } from './selection.ts'
import type { CelType } from './types.ts'
import { runtimeName } from './types.ts'
import type { CelValue } from './values.ts'
import {
  CelError,
  isList,
  LiteralMap,
  MapValue,
  noSuchOverload,
  Optional,
  sizeOf,
  TypeValue,
} from './values.ts'

/** Values by name; a function is called when the variable is first looked at. */
export type Bindings = Readonly<Record<string, CelValue | (() => CelValue) | undefined>>

export interface Run {
  readonly bindings: Bindings
  readonly meter: CostMeter
  /** Of accumulators, which may hold the error of a step that another may make good. */
  readonly slots: (CelValue | CelError)[]
}

export type Step = (run: Run) => CelValue

export function planExpression(expr: Expr, checked: Checked, env: CelEnv): Step {
  return new Planner(checked, env).plan(expr)
}

class Planner {
  readonly #checked: Checked
  readonly #env: CelEnv
  readonly #planned = new Map<Expr, Step>()
  readonly #locals: (readonly [string, number])[] = []
  #slots = 0

  constructor(checked: Checked, env: CelEnv) {
    this.#checked = checked
    this.#env = env
  }

  plan(expr: Expr): Step {
    const known = this.#planned.get(expr)
    if (known !== undefined) return known
    const step = this.#stepOf(expr)
    this.#planned.set(expr, step)
    return step
  }

  #stepOf(expr: Expr): Step {
    switch (expr.kind) {
      case 'const': {
        const { value } = expr
        return () => value
      }
      case 'ident':
        return this.#reference(expr) ?? this.#local(expr.name)
      case 'select':
        return this.#reference(expr) ?? this.#select(expr)
      case 'call':
        return this.#call(expr)
      case 'list':
        return this.#list(expr)
      case 'map':
        return this.#map(expr)
      case 'struct':
        return this.#struct(expr)
      default:
        return this.#fold(expr)
    }
  }

  #reference(expr: Expr): Step | null {
    const found = this.#checked.references.get(expr)
    if (found === undefined) return null
    if (found.kind === 'type') {
      const type = this.#env.typeNames.get(found.name)
      const value = new TypeValue(type === undefined ? found.name : runtimeName(type))
      return run => {
        run.meter.charge(SELECT_COST)
        return value
      }
    }
    const { name } = found
    return run => {
      run.meter.charge(SELECT_COST)
      const value = run.bindings[name]
      if (value === undefined) throw new CelError(`no such attribute(s): ${name}`)
      return typeof value === 'function' ? value() : value
    }
  }

  #local(name: string): Step {
    const slot = this.#locals.findLast(([one]) => one === name)?.[1]
    if (slot === undefined) throw new TypeError(`a name that the checker knew is gone: ${name}`)
    return run => {
      run.meter.charge(SELECT_COST)
      const value = run.slots[slot]
      if (value instanceof CelError) throw value
      return value as CelValue
    }
  }

  #select(expr: SelectNode): Step {
    const operand = this.plan(expr.operand)
    const { field } = expr
    if (expr.test) return run => hasField(operand(run), field)
    return run => {
      const value = operand(run)
      run.meter.charge(SELECT_COST)
      return fieldOf(value, field)
    }
  }

  #call(expr: CallNode): Step {
    if (expr.name === '_?._') return this.#optionalSelect(expr)
    const resolved = this.#checked.calls.get(expr)
    if (resolved === undefined) throw new TypeError(`a call that the checker knew is gone: ${expr.name}`)
    const args = resolved.args.map(arg => this.plan(arg))
    switch (expr.name) {
      case '_&&_':
        return logical(args, false)
      case '_||_':
        return logical(args, true)
      case '_?_:_':
        return conditional(args)
      case '@not_strictly_false':
        return notStrictlyFalse(args)
      case '_[_]':
        return selection(args, indexOf)
      case '_[?_]':
        return selection(args, optionalIndex)
      default:
        return dispatch(resolved, args)
    }
  }

  #optionalSelect(expr: CallNode): Step {
    const [operand, name] = expr.args
    const step = this.plan(operand as Expr)
    const field = name?.kind === 'const' ? String(name.value) : ''
    return run => {
      const value = step(run)
      run.meter.charge(SELECT_COST)
      return optionalField(value, field)
    }
  }

  #list(expr: ListNode): Step {
    const items = expr.items.map(item => this.plan(item))
    const { optional } = expr
    return run => {
      const list: CelValue[] = []
      for (const [index, item] of items.entries()) {
        const value = item(run)
        if (!optional.has(index)) list.push(value)
        else if (!(value instanceof Optional)) throw notOptional(value)
        else if (value.value !== undefined) list.push(value.value)
      }
      run.meter.charge(LIST_COST)
      return list
    }
  }

  #map(expr: MapNode): Step {
    const entries = expr.entries.map(entry => ({
      key: this.plan(entry.key),
      value: this.plan(entry.value),
      isOptional: entry.optional,
    }))
    return run => {
      const map = new LiteralMap()
      for (const entry of entries) {
        const key = entry.key(run)
        const value = unwrap(entry.value(run), entry.isOptional)
        if (value !== undefined && !map.add(key, value)) {
          throw new CelError(`Failed with repeated key: ${String(key)}`)
        }
      }
      run.meter.charge(MAP_COST)
      return map
    }
  }

  #struct(expr: StructNode): Step {
    const type = this.#env.structs?.(expr.name.replace(/^\./, '')) ?? null
    const construct = this.#env.construct
    if (type === null || construct === undefined) throw new TypeError(`no such type: ${expr.name}`)
    const fields = expr.fields.map(field => ({
      name: field.name,
      value: this.plan(field.value),
      isOptional: field.optional,
    }))
    return run => {
      const values = new Map<string, CelValue>()
      for (const field of fields) {
        const value = unwrap(field.value(run), field.isOptional)
        if (value !== undefined) values.set(field.name, value)
      }
      run.meter.charge(STRUCT_COST)
      return construct(type, values)
    }
  }

  #slot(name: string): number {
    const slot = this.#slots++
    this.#locals.push([name, slot])
    return slot
  }

  #fold(expr: FoldNode): Step {
    const range = this.plan(expr.range)
    const init = this.plan(expr.init)
    const depth = this.#locals.length
    const accumulator = this.#slot(expr.accumulator)
    const variables = [this.#slot(expr.variable)]
    if (expr.second !== null) variables.push(this.#slot(expr.second))
    const condition = this.plan(expr.condition)
    const step = growing(expr, accumulator, inner => this.plan(inner)) ?? this.plan(expr.step)
    this.#locals.length = depth + 1
    const result = this.plan(expr.result)
    this.#locals.length = depth
    const mayRecover = expr.condition.kind !== 'const'
    const type = this.#checked.types.get(expr.init)
    return run => {
      const items = range(run)
      run.slots[accumulator] = freshCopy(init(run), type)
      for (const pair of iterate(items, variables.length === 2)) {
        pair.forEach((value, index) => {
          run.slots[variables[index] as number] = value
        })
        if (condition(run) !== true) break
        run.slots[accumulator] = mayRecover ? attempt(step, run) : step(run)
      }
      return result(run)
    }
  }
}

/** Macros add items to a list or entries to a map that nobody else has seen, so it may grow in place. */
function growing(expr: FoldNode, slot: number, plan: (expr: Expr) => Step): Step | null {
  const { step } = expr
  if (step.kind === 'call' && step.name === '_?_:_') {
    const [test, then, otherwise] = step.args
    if (then === undefined || test === undefined || !isAccumulator(otherwise, expr)) return null
    const grow = growth(then, expr, slot, plan)
    if (grow === null) return null
    const condition = plan(test)
    return run => {
      const holds = condition(run)
      if (typeof holds !== 'boolean') throw noSuchOverload()
      if (holds) return grow(run)
      run.meter.charge(SELECT_COST)
      return run.slots[slot] as CelValue
    }
  }
  return growth(step, expr, slot, plan)
}

function growth(step: Expr, expr: FoldNode, slot: number, plan: (expr: Expr) => Step): Step | null {
  if (step.kind !== 'call' || step.name !== '_+_' || expr.init.kind !== 'list') return null
  const [left, right] = step.args
  if (!isAccumulator(left, expr) || right?.kind !== 'list' || right.items.length !== 1) return null
  const item = plan(right.items[0] as Expr)
  return run => {
    const value = item(run)
    run.meter.charge(SELECT_COST + LIST_COST + 1)
    const list = run.slots[slot] as CelValue[]
    list.push(value)
    return list
  }
}

function isAccumulator(expr: Expr | undefined, fold: FoldNode): boolean {
  return expr?.kind === 'ident' && expr.name === fold.accumulator && expr.name.startsWith('@')
}

const freshCopy = (value: CelValue, type: CelType | undefined): CelValue =>
  type?.kind === 'list' && isList(value) && value.length === 0 ? [] : value

function* iterate(items: CelValue, isPair: boolean): Generator<readonly CelValue[]> {
  if (isList(items)) {
    for (const [index, item] of items.entries()) yield isPair ? [BigInt(index), item] : [item]
  } else if (items instanceof MapValue) {
    for (const key of items.keys()) yield isPair ? [key, items.get(key) as CelValue] : [key]
  } else throw noSuchOverload()
}

const notOptional = (value: CelValue): CelError =>
  new CelError(`cannot initialize optional entry from non-optional value ${String(value)}`)

function unwrap(value: CelValue, isOptional: boolean): CelValue | undefined {
  if (!isOptional) return value
  if (value instanceof Optional) return value.value
  throw notOptional(value)
}

function attempt(step: Step, run: Run): CelValue | CelError {
  try {
    return step(run)
  } catch (error) {
    if (error instanceof CelError) return error
    throw error
  }
}

/** `&&` (decided by false) and `||` (decided by true): an error counts only when the other side decides nothing. */
function logical(args: readonly Step[], deciding: boolean): Step {
  const [left, right] = args as [Step, Step]
  return run => {
    const first = attempt(left, run)
    if (first === deciding) return deciding
    const second = attempt(right, run)
    if (second === deciding) return deciding
    if (first instanceof CelError) throw first
    if (second instanceof CelError) throw second
    if (typeof first !== 'boolean' || typeof second !== 'boolean') throw noSuchOverload()
    return !deciding
  }
}

function conditional(args: readonly Step[]): Step {
  const [condition, then, otherwise] = args as [Step, Step, Step]
  return run => {
    const holds = condition(run)
    if (typeof holds !== 'boolean') throw noSuchOverload()
    return holds ? then(run) : otherwise(run)
  }
}

function notStrictlyFalse(args: readonly Step[]): Step {
  const [argument] = args as [Step]
  return run => {
    const value = attempt(argument, run)
    run.meter.charge(1)
    return value !== false
  }
}

function selection(args: readonly Step[], select: (value: CelValue, key: CelValue) => CelValue): Step {
  const [operand, key] = args as [Step, Step]
  return run => {
    const value = operand(run)
    const index = key(run)
    run.meter.charge(SELECT_COST)
    return select(value, index)
  }
}

function dispatch({ overloads }: ResolvedCall, args: readonly Step[]): Step {
  return run => {
    const values = args.map(arg => arg(run))
    const overload = overloads.find(one => fits(one, values))
    if (overload === undefined) throw noSuchOverload()
    run.meter.charge(overload.cost === undefined ? 1 : overload.cost(...values.map(sizeOf)))
    return overload.run(...values)
  }
}

function fits({ params }: Overload, values: readonly CelValue[]): boolean {
  return params.every((param, index) => isOfKind(param, values[index] as CelValue))
}
