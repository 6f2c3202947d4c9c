/** The simple tests of the language's specification, as far as they need no protobuf messages. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tests } from '@bufbuild/cel-spec/testdata/conformance.js'
import { compileExpression } from '../../../../src/kube/cel/cel.ts'
import { type CelEnv, TYPE_NAMES } from '../../../../src/kube/cel/env.ts'
import { equal } from '../../../../src/kube/cel/equality.ts'
import { kubernetesFunctions } from '../../../../src/kube/cel/library/library.ts'
import * as types from '../../../../src/kube/cel/types.ts'
import { type CelValue, LiteralMap, TypeValue, Uint } from '../../../../src/kube/cel/values.ts'

/** What Kubernetes has none of: protobuf messages and enums, other containers, blocks. */
const OTHER_SUITES = new Set(['block_ext', 'dynamic', 'enums', 'proto2', 'proto2_ext', 'proto3', 'wrappers'])
/** Of those that are run; raise it when more pass. */
const SHARE_MIN = 1

interface Json {
  readonly [key: string]: unknown
}
interface Case {
  readonly name?: string
  readonly expr: string
  readonly value?: Json
  readonly evalError?: Json
  readonly typeEnv?: readonly { readonly name: string; readonly ident?: { readonly type: Json } }[]
  readonly bindings?: Readonly<Record<string, { readonly value?: Json }>>
  readonly container?: string
  readonly disableCheck?: boolean
  readonly checkOnly?: boolean
  readonly typedResult?: { readonly result?: Json; readonly deducedType?: Json }
}
interface Suite {
  readonly name: string
  readonly suites?: readonly Suite[]
  readonly tests?: readonly { readonly original: Case }[]
}

function* casesOf(suite: Suite, path: string): Generator<readonly [string, Case]> {
  for (const { original } of suite.tests ?? []) yield [`${path}/${original.name ?? original.expr}`, original]
  for (const inner of suite.suites ?? []) yield* casesOf(inner, `${path}/${inner.name}`)
}

const needsProtobuf = (one: Case): boolean =>
  one.container !== undefined ||
  one.disableCheck === true ||
  (one.typeEnv ?? []).some(({ ident }) => ident === undefined) ||
  /google\.protobuf\.(?!Timestamp|Duration)|cel\.expr|TestAllTypes|enumValue|objectValue/.test(
    JSON.stringify(one),
  )

const PRIMITIVES: Readonly<Record<string, types.CelType>> = {
  BOOL: types.BOOL,
  INT64: types.INT,
  UINT64: types.UINT,
  DOUBLE: types.DOUBLE,
  STRING: types.STRING,
  BYTES: types.BYTES,
}

function typeOf(json: Json): types.CelType {
  const { primitive, listType, mapType, wellKnown } = json as {
    primitive?: string
    listType?: { elemType?: Json }
    mapType?: { keyType?: Json; valueType?: Json }
    wellKnown?: string
  }
  if (primitive !== undefined) return PRIMITIVES[primitive] ?? types.DYN
  if (listType !== undefined) return types.listOf(typeOf(listType.elemType ?? {}))
  if (mapType !== undefined)
    return types.mapOf(typeOf(mapType.keyType ?? {}), typeOf(mapType.valueType ?? {}))
  if (wellKnown === 'TIMESTAMP') return types.TIMESTAMP
  return wellKnown === 'DURATION' ? types.DURATION : types.DYN
}

function celValue(json: Json): CelValue {
  const [[kind, value] = ['nullValue', null]] = Object.entries(json)
  switch (kind) {
    case 'int64Value':
      return BigInt(String(value))
    case 'uint64Value':
      return new Uint(BigInt(String(value)))
    case 'doubleValue':
      return Number(value)
    case 'bytesValue':
      return Buffer.from(String(value), 'base64')
    case 'nullValue':
      return null
    case 'typeValue':
      return new TypeValue(String(value))
    case 'listValue':
      return ((value as { values?: Json[] }).values ?? []).map(celValue)
    case 'mapValue': {
      const map = new LiteralMap()
      for (const entry of (value as { entries?: { key: Json; value: Json }[] }).entries ?? []) {
        map.add(celValue(entry.key), celValue(entry.value))
      }
      return map
    }
    default:
      return value as string | boolean
  }
}

function envOf(one: Case): CelEnv {
  const variables = new Map<string, types.CelType>()
  for (const { name, ident } of one.typeEnv ?? []) if (ident) variables.set(name, typeOf(ident.type))
  for (const name of Object.keys(one.bindings ?? {})) {
    if (!variables.has(name)) variables.set(name, types.DYN)
  }
  return { variables, functions: kubernetesFunctions, typeNames: TYPE_NAMES, isHomogeneous: false }
}

const LIMIT = 1_000_000

/** What is wrong, or null. */
function run(one: Case): string | null {
  const compiled = compileExpression(one.expr, envOf(one))
  if (!compiled.ok) return one.evalError === undefined ? compiled.message : null
  if (one.checkOnly === true) return null
  const bindings = Object.entries(one.bindings ?? {}).map(([name, { value }]) => [
    name,
    celValue(value ?? {}),
  ])
  const outcome = compiled.program.evaluate(Object.fromEntries(bindings), LIMIT)
  if (one.evalError !== undefined) return outcome.ok ? 'an error was expected' : null
  if (!outcome.ok) return outcome.error
  const expected = celValue(one.value ?? one.typedResult?.result ?? { boolValue: true })
  if (Number.isNaN(expected)) return Number.isNaN(outcome.value) ? null : 'NaN was expected'
  const isSame = equal(outcome.value, expected) && typeof outcome.value === typeof expected
  return isSame ? null : `${String(outcome.value)} instead of ${String(expected)}`
}

test('the share of the specification’s tests that pass does not fall', () => {
  const failed: string[] = []
  let total = 0
  for (const suite of (tests as unknown as Suite).suites ?? []) {
    if (OTHER_SUITES.has(suite.name)) continue
    for (const [path, one] of casesOf(suite, suite.name)) {
      if (needsProtobuf(one)) continue
      total++
      const problem = run(one)
      if (problem !== null) failed.push(`${path}: ${one.expr}: ${problem}`)
    }
  }
  const share = (total - failed.length) / total
  if (process.env['CEL_SHOW'] !== undefined) for (const line of failed) process.stdout.write(`${line}\n`)
  assert.ok(total > 1_200, `${total} tests were found`)
  assert.ok(share >= SHARE_MIN, `${failed.length} of ${total} fail:\n${failed.slice(0, 20).join('\n')}`)
})
