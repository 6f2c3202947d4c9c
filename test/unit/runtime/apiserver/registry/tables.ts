/** Tables of specs: a valid one for each kind, and what upstream says when one thing in it is changed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, createProblems, object, read, updated } from './support.ts'

type Fields = Record<string, unknown>

export interface RuleTable {
  /** `group/resource`. */
  readonly key: string
  readonly kind: string
  /** What is valid; each row changes a copy of it. */
  readonly valid: Fields
  readonly metadata?: object
  /** What the row is about, what it puts into the spec (or the object), and the exact problems. */
  readonly rows: readonly (readonly [string, Fields, readonly string[]])[]
}

/** `spec` is merged one level deep; every other field replaces the valid one. */
function changed(valid: Fields, change: Fields): Fields {
  const merged: Fields = { ...structuredClone(valid), ...structuredClone(change) }
  if (valid['spec'] !== undefined && change['spec'] !== undefined) {
    merged['spec'] = { ...(structuredClone(valid['spec']) as Fields), ...(change['spec'] as Fields) }
  }
  // What a row sets to undefined is absent.
  return JSON.parse(JSON.stringify(merged)) as Fields
}

/** New objects. */
export function createTable({ key, kind, valid, metadata = {}, rows }: RuleTable): void {
  const strategy = must(strategies.get(key), key)
  test(`a valid ${kind} passes`, () => {
    assert.deepEqual(createProblems(strategy, object(kind, structuredClone(valid), metadata)), [])
  })
  for (const [what, change, expected] of rows) {
    test(`a ${kind} with ${what} is judged as upstream judges it`, () => {
      assert.deepEqual(createProblems(strategy, object(kind, changed(valid, change), metadata)), expected)
    })
  }
}

/** Changes of a valid object; all rules of an update count, in upstream's order of ours. */
export function updateTable({ key, kind, valid, metadata = {}, rows }: RuleTable): void {
  const strategy = must(strategies.get(key), key)
  for (const [what, change, expected] of rows) {
    test(`an update of a ${kind} with ${what} is judged as upstream judges it`, () => {
      const before = created(strategy, object(kind, structuredClone(valid), metadata))
      if (valid['status'] !== undefined) before['status'] = structuredClone(valid['status'])
      const next = updated(strategy, before, given => Object.assign(given, changed(given, change)))
      const own = strategy.ratchets === true ? [] : read(strategy.validate?.(next))
      assert.deepEqual([...own, ...read(strategy.validateUpdate?.(next, before))], expected)
    })
  }
}
