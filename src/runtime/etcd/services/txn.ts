/** etcd's transactions as decisions of the store, and their results as etcd's answers. Pure. */
import type { WireWriter } from '../../../base/wire-writer.ts'
import type { Condition, Decision, DecisionResult, Step, StepResult } from '../../store/store.ts'
import { type EtcdContext, writeHeader } from '../context.ts'
import { etcdErrors, limitError } from '../errors.ts'
import { readKeyRange } from '../keys.ts'
import {
  type CompareRequest,
  type DeleteRangeRequest,
  type PutRequest,
  type RequestOp,
  type TxnRequest,
  writeKeyValue,
} from '../messages/kv-messages.ts'
import { toRange, writeRangeResult } from './range.ts'

const OPERATIONS_MAX = 128
/** Where the API's objects are; another value would be one that nobody can read, nor anything listed with it. */
const OBJECT_PREFIX = '/registry/'
const VALUE_FORMAT_PLAIN = 1
const OBJECT_HEAD = /^\{"apiVersion":"[^"]+","kind":"[^"]+","metadata":\{/

const relations: readonly Condition['relation'][] = ['equal', 'greater', 'less', 'not-equal']
const numberTargets = ['version', 'create-revision', 'mod-revision', null, 'lease'] as const
const VALUE_TARGET = 3

export function toDecision(request: TxnRequest): Decision {
  const { compares, success, failure } = request
  if (Math.max(compares.length, success.length, failure.length) > OPERATIONS_MAX) {
    throw etcdErrors.tooManyOperations()
  }
  const decision = {
    conditions: compares.map(toCondition),
    steps: success.map(toStep),
    otherwise: failure.map(toStep),
  }
  writesOf(decision.steps)
  writesOf(decision.otherwise)
  return decision
}

function toCondition(compare: CompareRequest): Condition {
  const { start: key, end, single } = readKeyRange(compare.key, compare.rangeEnd)
  const relation = relations[compare.result]
  if (relation === undefined) throw limitError(`the comparison ${compare.result} is not known`)
  const where = { key, relation, ...(!single && { end }) }
  if (compare.target === VALUE_TARGET) return { ...where, target: 'value', operand: compare.value }
  const target = numberTargets[compare.target] ?? null
  if (target === null) throw limitError(`the compare target ${compare.target} is not known`)
  if (!Number.isSafeInteger(compare.number) || compare.number < 0) {
    throw limitError('a number to compare with lies between 0 and 2^53')
  }
  return { ...where, target, operand: compare.number }
}

function toStep(operation: RequestOp): Step {
  switch (operation.type) {
    case 'range':
      return { type: 'range', range: toRange(operation.range) }
    case 'put':
      return toPutStep(operation.put)
    case 'delete':
      return toDeleteStep(operation.deletion)
    case 'txn':
      return { type: 'decision', decision: toDecision(operation.txn) }
  }
}

export function toPutStep(put: PutRequest): Step & { readonly type: 'put' } {
  const { start: key } = readKeyRange(put.key, Buffer.alloc(0))
  if (put.ignoreValue && put.value.length > 0) throw etcdErrors.valueProvided()
  if (put.ignoreLease && put.lease !== 0) throw etcdErrors.leaseProvided()
  if (!Number.isSafeInteger(put.lease) || put.lease < 0) throw etcdErrors.leaseNotFound()
  if (!put.ignoreValue && key.startsWith(OBJECT_PREFIX) && !isObjectValue(put.value)) {
    throw limitError(
      `values under ${OBJECT_PREFIX} are objects of the API: their format byte, then JSON that begins with ` +
        'apiVersion, kind and metadata, in this order',
    )
  }
  return {
    type: 'put',
    key,
    value: put.ignoreValue ? null : put.value,
    lease: put.ignoreLease ? null : put.lease,
  }
}

/** What the API server can serve: it finds what it needs by where it stands. */
function isObjectValue(value: Uint8Array): boolean {
  if (value[0] !== VALUE_FORMAT_PLAIN) return false
  const text = Buffer.from(value.buffer, value.byteOffset + 1, value.byteLength - 1).toString('utf8')
  if (!OBJECT_HEAD.test(text)) return false
  try {
    const { metadata } = JSON.parse(text) as { metadata?: { name?: unknown } }
    return typeof metadata?.name === 'string'
  } catch {
    return false
  }
}

export function toDeleteStep({ key, rangeEnd }: DeleteRangeRequest): Step & { readonly type: 'delete' } {
  const { start, end } = readKeyRange(key, rangeEnd)
  return { type: 'delete', start, end }
}

/** What a list of steps writes; of a decision inside, what either of its branches may write. */
interface Writes {
  readonly puts: string[]
  readonly deletes: { readonly start: string; readonly end: string }[]
}

/** No key may be written twice in one transaction, unless in two branches of which one is taken. */
function writesOf(steps: readonly Step[]): Writes {
  const all: Writes = { puts: [], deletes: [] }
  for (const step of steps) {
    const writes = writesOfStep(step)
    const twice =
      writes.puts.some(key => all.puts.includes(key) || all.deletes.some(range => isIn(key, range))) ||
      all.puts.some(key => writes.deletes.some(range => isIn(key, range)))
    if (twice) throw etcdErrors.duplicateKey()
    all.puts.push(...writes.puts)
    all.deletes.push(...writes.deletes)
  }
  return all
}

function writesOfStep(step: Step): Writes {
  if (step.type === 'put') return { puts: [step.key], deletes: [] }
  if (step.type === 'delete') return { puts: [], deletes: [step] }
  if (step.type === 'range') return { puts: [], deletes: [] }
  const branches = [writesOf(step.decision.steps), writesOf(step.decision.otherwise)]
  return {
    puts: branches.flatMap(branch => branch.puts),
    deletes: branches.flatMap(branch => branch.deletes),
  }
}

const isIn = (key: string, { start, end }: { start: string; end: string }) => key >= start && key < end

/** The fields of a TxnResponse behind its header. */
export function writeTxnResult(
  writer: WireWriter,
  context: EtcdContext,
  request: TxnRequest,
  result: Pick<DecisionResult, 'succeeded' | 'revision' | 'results'>,
): void {
  writer.bool(2, result.succeeded)
  const operations = result.succeeded ? request.success : request.failure
  for (const [at, operation] of operations.entries()) {
    const outcome = result.results[at]
    if (outcome === undefined) return
    writer.message(3, inner => writeResponseOp(inner, context, operation, outcome, result.revision))
  }
}

function writeResponseOp(
  writer: WireWriter,
  context: EtcdContext,
  operation: RequestOp,
  outcome: StepResult,
  revision: number,
): void {
  const header = (inner: WireWriter) => writeHeader(inner, context, revision)
  if (operation.type === 'range' && outcome.type === 'range') {
    writer.message(1, inner => {
      header(inner)
      writeRangeResult(inner, operation.range, outcome.result)
    })
  } else if (operation.type === 'put' && outcome.type === 'put') {
    writer.message(2, inner => {
      header(inner)
      writePutResult(inner, operation.put, outcome)
    })
  } else if (operation.type === 'delete' && outcome.type === 'delete') {
    writer.message(3, inner => {
      header(inner)
      writeDeleteResult(inner, operation.deletion, outcome)
    })
  } else if (operation.type === 'txn' && outcome.type === 'decision') {
    writer.message(4, inner => {
      header(inner)
      writeTxnResult(inner, context, operation.txn, { ...outcome, revision })
    })
  }
}

export function writePutResult(
  writer: WireWriter,
  { prevKv }: PutRequest,
  { previous }: Extract<StepResult, { type: 'put' }>,
): void {
  if (prevKv && previous !== null) writeKeyValue(writer, 2, previous)
}

export function writeDeleteResult(
  writer: WireWriter,
  { prevKv }: DeleteRangeRequest,
  { deleted }: Extract<StepResult, { type: 'delete' }>,
): void {
  writer.int64(2, deleted.length)
  if (prevKv) for (const kv of deleted) writeKeyValue(writer, 3, kv)
}
