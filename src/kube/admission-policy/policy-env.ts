/** What the expressions of policies may refer to. */
import { compileExpression, type Program } from '../cel/cel.ts'
import { type CelEnv, TYPE_NAMES } from '../cel/env.ts'
import { type FunctionTable, fn } from '../cel/functions.ts'
import { kubernetesFunctions } from '../cel/library/library.ts'
import { type CelType, DYN, INT, listOf, mapOf, objectOf, STRING, TIMESTAMP } from '../cel/types.ts'
import { constructStruct, structType } from './constructed.ts'
import type { NamedExpression, PolicySpec } from './policy-kinds.ts'
import { requestVariables } from './request-types.ts'

const TEXTS = mapOf(STRING, STRING)
export const NAMESPACE = objectOf('kubernetes.Namespace', {
  metadata: objectOf('kubernetes.NamespaceMetadata', {
    name: STRING,
    generateName: STRING,
    namespace: STRING,
    labels: TEXTS,
    annotations: TEXTS,
    uid: STRING,
    creationTimestamp: TIMESTAMP,
    deletionGracePeriodSeconds: INT,
    deletionTimestamp: TIMESTAMP,
    generation: INT,
    resourceVersion: STRING,
    finalizers: listOf(STRING),
  }),
  spec: objectOf('kubernetes.NamespaceSpec', { finalizers: listOf(STRING) }),
  status: objectOf('kubernetes.NamespaceStatus', { phase: STRING }),
})

const mutatingFunctions: FunctionTable = new Map([
  ...kubernetesFunctions,
  [
    'jsonpatch.escapeKey',
    [
      fn('jsonpatch.escapeKey', [[STRING], STRING], (key: string) =>
        key.replaceAll('~', '~0').replaceAll('/', '~1'),
      ),
    ],
  ],
])

/** A variable or its problem: `variables.name` is only known to what comes behind it. */
export interface CompiledVariable {
  readonly name: string
  readonly program: Program | null
  readonly error: string | null
}

export type CompiledExpression =
  | { readonly program: Program; readonly error: null }
  | { readonly program: null; readonly error: string }

export interface PolicyEnv {
  readonly variables: readonly CompiledVariable[]
  compile(expression: string): CompiledExpression
}

/** The types of `object` and `params` when they are known: for warnings only, requests know no types. */
export interface KnownTypes {
  readonly object?: CelType
  readonly params?: CelType
}

export function policyEnv(
  { paramKind, variables = [] }: PolicySpec,
  isMutating: boolean,
  known: KnownTypes = {},
): PolicyEnv {
  const declared = new Map<string, CelType>([
    ['object', known.object ?? DYN],
    ['oldObject', known.object ?? DYN],
    ['namespaceObject', NAMESPACE],
    ...requestVariables,
  ])
  if (paramKind !== undefined) declared.set('params', known.params ?? DYN)
  const types: Record<string, CelType> = {}
  const envNow = (): CelEnv => ({
    variables: new Map([...declared, ['variables', objectOf('kubernetes.variables', types)]]),
    functions: isMutating ? mutatingFunctions : kubernetesFunctions,
    typeNames: TYPE_NAMES,
    isHomogeneous: true,
    ...(isMutating ? { structs: structType, construct: constructStruct } : {}),
  })
  const compiled = variables.map(variable => compileVariable(variable, envNow(), types))
  const env = envNow()
  return { variables: compiled, compile: expression => compileIn(expression, env) }
}

function compileIn(expression: string, env: CelEnv): CompiledExpression {
  const result = compileExpression(expression, env)
  if (result.ok) return { program: result.program, error: null }
  return { program: null, error: `compilation failed: ${result.message}` }
}

function compileVariable(
  { name, expression }: NamedExpression,
  env: CelEnv,
  types: Record<string, CelType>,
): CompiledVariable {
  const compiled = compileIn(expression, env)
  types[name] = compiled.program?.type ?? DYN
  return { name, ...compiled }
}
