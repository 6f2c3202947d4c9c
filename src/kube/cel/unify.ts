/** Which types fit which: assignability with type parameters, as the checker asks. */
import type { CelType } from './types.ts'
import { DYN, sameType } from './types.ts'

/** What the type parameters of one expression stand for so far. */
export class Substitution {
  readonly #bound = new Map<string, CelType>()
  readonly #below: Substitution | null
  #fresh: number

  constructor(below: Substitution | null = null) {
    this.#below = below
    this.#fresh = below === null ? 0 : below.#fresh
  }

  /** To try something on; only what it adds is kept apart. */
  fork(): Substitution {
    return new Substitution(this)
  }

  /** Of a fork of this one. */
  adopt(other: Substitution): void {
    for (const [name, type] of other.#bound) this.#bound.set(name, type)
    this.#fresh = other.#fresh
  }

  #lookUp(name: string): CelType | undefined {
    const found = this.#bound.get(name)
    if (found !== undefined || this.#below === null) return found
    return this.#below.#lookUp(name)
  }

  freshParam(): CelType {
    this.#fresh++
    return { kind: 'param', name: `_var${this.#fresh}` }
  }

  find(type: CelType): CelType {
    let found = type
    while (found.kind === 'param') {
      const next = this.#lookUp(found.name)
      if (next === undefined) break
      found = next
    }
    return found
  }

  bind(name: string, type: CelType): void {
    this.#bound.set(name, type)
  }

  /** The type with parameters replaced; those that stand for nothing become dyn when `final`. */
  resolve(type: CelType, final = false): CelType {
    const found = this.find(type)
    switch (found.kind) {
      case 'param':
        return final ? DYN : found
      case 'list':
        return { ...found, item: this.resolve(found.item, final) }
      case 'map':
        return { ...found, key: this.resolve(found.key, final), value: this.resolve(found.value, final) }
      case 'optional':
        return { kind: 'optional', item: this.resolve(found.item, final) }
      case 'type':
        return { kind: 'type', of: this.resolve(found.of, final) }
      default:
        return found
    }
  }

  /** Whether a value of type `from` may stand where `to` is asked for; binds parameters of both. */
  assignable(to: CelType, from: CelType): boolean {
    const target = this.find(to)
    const source = this.find(from)
    if (sameType(target, source)) return true
    if (target.kind === 'param') return this.#bindParam(target.name, source)
    if (source.kind === 'param') return this.#bindParam(source.name, target)
    if (isAnything(target) || isAnything(source)) return true
    if (source.kind === 'null') return isNullable(target)
    return this.#partsAssignable(target, source)
  }

  #partsAssignable(target: CelType, source: CelType): boolean {
    if (target.kind === 'list' && source.kind === 'list') return this.assignable(target.item, source.item)
    if (target.kind === 'map' && source.kind === 'map') {
      return this.assignable(target.key, source.key) && this.assignable(target.value, source.value)
    }
    if (target.kind === 'optional' && source.kind === 'optional') {
      return this.assignable(target.item, source.item)
    }
    return target.kind === 'type' && source.kind === 'type'
  }

  #bindParam(name: string, type: CelType): boolean {
    if (this.#contains(type, name)) return false
    this.bind(name, type)
    return true
  }

  #contains(type: CelType, name: string): boolean {
    const found = this.find(type)
    switch (found.kind) {
      case 'param':
        return found.name === name
      case 'list':
      case 'optional':
        return this.#contains(found.item, name)
      case 'map':
        return this.#contains(found.key, name) || this.#contains(found.value, name)
      default:
        return false
    }
  }
}

const isAnything = (type: CelType): boolean => type.kind === 'dyn' || type.kind === 'error'

function isNullable(type: CelType): boolean {
  return (
    type.kind === 'object' || type.kind === 'opaque' || type.kind === 'timestamp' || type.kind === 'duration'
  )
}

/** The parameters of a declaration renamed, so that two uses of it do not meet. */
export function instantiate(types: readonly CelType[], substitution: Substitution): readonly CelType[] {
  const names = new Map<string, CelType>()
  const rename = (type: CelType): CelType => {
    switch (type.kind) {
      case 'param': {
        const known = names.get(type.name) ?? substitution.freshParam()
        names.set(type.name, known)
        return known
      }
      case 'list':
        return { ...type, item: rename(type.item) }
      case 'map':
        return { ...type, key: rename(type.key), value: rename(type.value) }
      case 'optional':
        return { kind: 'optional', item: rename(type.item) }
      case 'type':
        return { kind: 'type', of: rename(type.of) }
      default:
        return type
    }
  }
  return types.map(rename)
}
