/** Finds the type of every part of an expression, and everything that cannot be right before it runs. */
import type { CallNode, Expr, FoldNode, ListNode, MapNode, SelectNode, StructNode } from './ast.ts'
import { qualifiedName } from './ast.ts'
import type { CelEnv } from './env.ts'
import type { Overload } from './functions.ts'
import type { SourceProblem } from './source-error.ts'
import type { CelType } from './types.ts'
import {
  BOOL,
  DYN,
  ERROR,
  formatType,
  INT,
  listOf,
  mapOf,
  optionalOf,
  STRING,
  sameType,
  typeOf,
} from './types.ts'
import { instantiate, Substitution } from './unify.ts'

/** What the checker found out for those who plan and estimate. */
export interface Checked {
  readonly type: CelType
  readonly types: ReadonlyMap<Expr, CelType>
  readonly calls: ReadonlyMap<CallNode, ResolvedCall>
  /** Idents and selections that are a declared variable or a type, by its full name. */
  readonly references: ReadonlyMap<Expr, Reference>
}

export interface ResolvedCall {
  readonly overloads: readonly Overload[]
  /** The receiver first, unless it was a namespace. */
  readonly args: readonly Expr[]
}

export type Reference =
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'type'; readonly name: string }

export type CheckResult =
  | { readonly ok: true; readonly checked: Checked }
  | { readonly ok: false; readonly problems: readonly SourceProblem[] }

export function checkExpression(expr: Expr, env: CelEnv): CheckResult {
  const checker = new Checker(env)
  const type = checker.check(expr)
  if (checker.problems.length > 0) return { ok: false, problems: checker.problems }
  return { ok: true, checked: checker.finish(type) }
}

class Checker {
  readonly problems: SourceProblem[] = []
  readonly #env: CelEnv
  readonly #substitution = new Substitution()
  readonly #types = new Map<Expr, CelType>()
  readonly #calls = new Map<CallNode, ResolvedCall>()
  readonly #references = new Map<Expr, Reference>()
  readonly #locals: (readonly [string, CelType])[] = []

  constructor(env: CelEnv) {
    this.#env = env
  }

  finish(type: CelType): Checked {
    const resolve = (one: CelType): CelType => this.#substitution.resolve(one, true)
    const types = new Map([...this.#types].map(([expr, one]) => [expr, resolve(one)]))
    return { type: resolve(type), types, calls: this.#calls, references: this.#references }
  }

  check(expr: Expr): CelType {
    const known = this.#types.get(expr)
    if (known !== undefined) return known
    const type = this.#typeOf(expr)
    this.#types.set(expr, type)
    return type
  }

  #problem(at: number, message: string): CelType {
    this.problems.push({ at, message })
    return ERROR
  }

  #typeOf(expr: Expr): CelType {
    switch (expr.kind) {
      case 'const':
        return expr.type
      case 'ident':
        return this.#named(expr, expr.name) ?? this.#undeclared(expr.at, expr.name)
      case 'select':
        return this.#select(expr)
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

  #undeclared(at: number, name: string): CelType {
    return this.#problem(at, `undeclared reference to '${name}' (in container '')`)
  }

  /** The type of a variable or type name; null when nothing bears it. */
  #named(expr: Expr, written: string): CelType | null {
    const isRooted = written.startsWith('.')
    const name = isRooted ? written.slice(1) : written
    const local = isRooted ? undefined : this.#locals.findLast(([one]) => one === name)
    if (local !== undefined) return local[1]
    const variable = this.#env.variables.get(name)
    if (variable !== undefined) {
      this.#references.set(expr, { kind: 'variable', name })
      return variable
    }
    const type = this.#env.typeNames.get(name)
    if (type === undefined) return null
    this.#references.set(expr, { kind: 'type', name })
    return typeOf(type)
  }

  #isLocal(expr: Expr): boolean {
    if (expr.kind === 'select') return this.#isLocal(expr.operand)
    return expr.kind === 'ident' && this.#locals.some(([name]) => name === expr.name)
  }

  #select(expr: SelectNode): CelType {
    const name = qualifiedName(expr)
    if (name !== null && !this.#isLocal(expr)) {
      const found = this.#named(expr, name)
      if (found !== null) return found
    }
    const operand = this.#substitution.find(this.check(expr.operand))
    const type = this.#field(expr.at, operand, expr.field)
    return expr.test ? BOOL : type
  }

  #field(at: number, operand: CelType, field: string): CelType {
    switch (operand.kind) {
      case 'dyn':
      case 'error':
        return operand
      case 'param':
        this.#substitution.bind(operand.name, DYN)
        return DYN
      case 'map':
        return operand.value
      case 'optional':
        return optionalOf(this.#field(at, this.#substitution.find(operand.item), field))
      case 'object': {
        const found = operand.fields.get(field)
        if (found !== undefined) return found.type
        return operand.open === true ? DYN : this.#problem(at, `undefined field '${field}'`)
      }
      default:
        return this.#problem(at, `type '${formatType(operand)}' does not support field selection`)
    }
  }

  #call(expr: CallNode): CelType {
    if (expr.name === '_?._') return this.#optionalSelect(expr)
    const qualifier = expr.target === null ? null : qualifiedName(expr.target)
    if (qualifier !== null && expr.target !== null && !this.#isLocal(expr.target)) {
      const overloads = this.#env.functions.get(`${qualifier}.${expr.name}`.replace(/^\./, ''))
      if (overloads !== undefined) {
        return this.#resolve(expr, overloads, { args: expr.args, isMember: false })
      }
    }
    const name = expr.name.replace(/^\./, '')
    const args = expr.target === null ? expr.args : [expr.target, ...expr.args]
    const overloads = this.#env.functions.get(name)
    if (overloads !== undefined) {
      return this.#resolve(expr, overloads, { args, isMember: expr.target !== null })
    }
    for (const arg of args) this.check(arg)
    return this.#undeclared(expr.at, name)
  }

  #optionalSelect(expr: CallNode): CelType {
    const [operand, name] = expr.args
    if (operand === undefined || name?.kind !== 'const') return ERROR
    this.#types.set(name, STRING)
    const type = this.#substitution.find(this.check(operand))
    const field = this.#field(expr.at, type, String(name.value))
    return field.kind === 'optional' ? field : optionalOf(field)
  }

  #resolve(
    expr: CallNode,
    overloads: readonly Overload[],
    { args, isMember }: { readonly args: readonly Expr[]; readonly isMember: boolean },
  ): CelType {
    const types = args.map(arg => this.check(arg))
    const fitting: Overload[] = []
    let result: CelType | null = null
    for (const overload of overloads) {
      if (overload.isMember !== isMember || overload.params.length !== args.length) continue
      const found = this.#tryOverload(overload, types)
      if (found === null) continue
      fitting.push(overload)
      if (result === null) result = found
      else if (!sameType(this.#substitution.resolve(result), this.#substitution.resolve(found))) result = DYN
    }
    if (result === null) return this.#noOverload(expr, types, isMember)
    this.#calls.set(expr, { overloads: fitting, args })
    return result
  }

  #tryOverload(overload: Overload, types: readonly CelType[]): CelType | null {
    const trial = this.#substitution.fork()
    const [result, ...params] = instantiate([overload.result, ...overload.params], trial)
    if (result === undefined) return null
    if (!params.every((param, index) => trial.assignable(param, types[index] ?? ERROR))) return null
    this.#substitution.adopt(trial)
    return trial.resolve(result)
  }

  #noOverload(expr: CallNode, types: readonly CelType[], isMember: boolean): CelType {
    const resolved = types.map(type => this.#substitution.resolve(type, true))
    if (resolved.some(type => type.kind === 'error')) return ERROR
    const shown = resolved.map(formatType)
    const applied = isMember ? `${shown[0]}.(${shown.slice(1).join(', ')})` : `(${shown.join(', ')})`
    return this.#problem(expr.at, `found no matching overload for '${expr.name}' applied to '${applied}'`)
  }

  /** The type that has room for both; a problem where literals must be of one type. */
  #join(at: number, previous: CelType | null, current: CelType): CelType {
    if (previous === null) return current
    const trial = this.#substitution.fork()
    if (trial.assignable(previous, current)) {
      this.#substitution.adopt(trial)
      return this.#substitution.find(previous).kind === 'null' ? current : previous
    }
    const other = this.#substitution.fork()
    if (other.assignable(current, previous)) {
      this.#substitution.adopt(other)
      return current
    }
    if (!this.#env.isHomogeneous) return DYN
    return this.#mismatch(at, previous, current)
  }

  #mismatch(at: number, expected: CelType, found: CelType): CelType {
    const [a, b] = [expected, found].map(type => formatType(this.#substitution.resolve(type, true)))
    return this.#problem(at, `expected type '${a}' but found '${b}'`)
  }

  /** What stands behind `?`: an optional's value type. */
  #unwrapped(at: number, type: CelType, isOptional: boolean): CelType {
    if (!isOptional) return type
    const found = this.#substitution.find(type)
    if (found.kind === 'optional') return found.item
    if (found.kind === 'dyn' || found.kind === 'error') return found
    return this.#mismatch(at, optionalOf(type), type)
  }

  #list(expr: ListNode): CelType {
    let item: CelType | null = null
    expr.items.forEach((one, index) => {
      const type = this.#unwrapped(one.at, this.check(one), expr.optional.has(index))
      item = this.#join(one.at, item, type)
    })
    return listOf(item ?? this.#substitution.freshParam())
  }

  #map(expr: MapNode): CelType {
    let key: CelType | null = null
    let value: CelType | null = null
    for (const entry of expr.entries) {
      key = this.#join(entry.key.at, key, this.check(entry.key))
      const type = this.#unwrapped(entry.value.at, this.check(entry.value), entry.optional)
      value = this.#join(entry.value.at, value, type)
    }
    return mapOf(key ?? this.#substitution.freshParam(), value ?? this.#substitution.freshParam())
  }

  #struct(expr: StructNode): CelType {
    const name = expr.name.replace(/^\./, '')
    const type = this.#env.structs?.(name) ?? null
    for (const field of expr.fields) {
      const value = this.#unwrapped(field.value.at, this.check(field.value), field.optional)
      if (type === null) continue
      const declared = type.fields.get(field.name)?.type ?? (type.open === true ? DYN : null)
      if (declared === null) this.#problem(field.at, `undefined field '${field.name}'`)
      else if (!this.#substitution.assignable(declared, value)) {
        const [a, b] = [declared, value].map(one => formatType(this.#substitution.resolve(one, true)))
        this.#problem(
          field.at,
          `expected type of field '${field.name}' is '${a}' but provided type is '${b}'`,
        )
      }
    }
    return type ?? this.#undeclared(expr.at, expr.name)
  }

  #fold(expr: FoldNode): CelType {
    const range = this.#substitution.find(this.check(expr.range))
    const [first, second] = this.#rangeTypes(expr, range)
    const init = this.check(expr.init)
    const depth = this.#locals.length
    this.#locals.push([expr.accumulator, init])
    this.#locals.push([expr.variable, first])
    if (expr.second !== null) this.#locals.push([expr.second, second])
    this.#expect(expr.condition, BOOL)
    this.#expect(expr.step, init)
    this.#locals.length = depth + 1
    const result = this.check(expr.result)
    this.#locals.length = depth
    return result
  }

  #expect(expr: Expr, expected: CelType): void {
    const type = this.check(expr)
    if (!this.#substitution.assignable(expected, type)) this.#mismatch(expr.at, expected, type)
  }

  /** Of the iteration's variables: index and item, key and value, or just one of them. */
  #rangeTypes(expr: FoldNode, range: CelType): readonly [CelType, CelType] {
    const isPair = expr.second !== null
    switch (range.kind) {
      case 'list':
        return isPair ? [INT, range.item] : [range.item, range.item]
      case 'map':
        return [range.key, range.value]
      case 'dyn':
      case 'error':
        return [DYN, DYN]
      case 'param':
        this.#substitution.bind(range.name, DYN)
        return [DYN, DYN]
      default: {
        const shown = formatType(range)
        this.#problem(
          expr.range.at,
          `expression of type '${shown}' cannot be range of a comprehension (must be list, map, or dynamic)`,
        )
        return [ERROR, ERROR]
      }
    }
  }
}
