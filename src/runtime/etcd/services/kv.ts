/** etcd's KV service: Range, Put, DeleteRange, Txn and Compact on the store. */
import { must } from '../../../base/assert.ts'
import type { WireWriter } from '../../../base/wire-writer.ts'
import { TRANSACTION_BYTES_MAX } from '../../store/local-store.ts'
import type { Step, StepResult } from '../../store/store.ts'
import { type EtcdContext, newAnswer } from '../context.ts'
import { etcdErrors } from '../errors.ts'
import type { Method, UnaryMethod } from '../grpc/call.ts'
import {
  readCompactionRequest,
  readDeleteRangeRequest,
  readPutRequest,
  readRangeRequest,
  readTxnRequest,
} from '../messages/kv-messages.ts'
import { readRange, writeRangeResult } from './range.ts'
import {
  toDecision,
  toDeleteStep,
  toPutStep,
  writeDeleteResult,
  writePutResult,
  writeTxnResult,
} from './txn.ts'

/** What surrounds the value in an answer, roughly. */
const ANSWER_OVERHEAD_BYTES = 128

export function kvMethods(context: EtcdContext): [string, Method][] {
  const methods: Record<string, UnaryMethod> = {
    Range: request => range(context, request),
    Put: request => put(context, request),
    DeleteRange: request => deleteRange(context, request),
    Txn: request => txn(context, request),
    Compact: request => compact(context, request),
  }
  return Object.entries(methods).map(([name, handle]) => [
    `/etcdserverpb.KV/${name}`,
    { kind: 'unary', handle },
  ])
}

async function range(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  const { store } = context
  const request = readRangeRequest(bytes)
  if (!request.serializable) await store.barrier()
  const result = readRange(store, request)
  const capacity = ANSWER_OVERHEAD_BYTES + (result.entries[0]?.value.length ?? 0)
  const answer = newAnswer(context, store.revision, capacity)
  writeRangeResult(answer, request, result)
  return answer
}

async function put(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  refuseTooLarge(bytes)
  const { store } = context
  const request = readPutRequest(bytes)
  const { type, key, value, lease } = toPutStep(request)
  if (value !== null && lease !== null && !request.prevKv) {
    const { revision } = await store.transact({ compares: [], operations: [{ type, key, value, lease }] })
    return newAnswer(context, revision)
  }
  const { revision, result } = await decideOne(context, { type, key, value, lease })
  const answer = newAnswer(context, revision)
  if (result.type === 'put') writePutResult(answer, request, result)
  return answer
}

async function deleteRange(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  refuseTooLarge(bytes)
  const request = readDeleteRangeRequest(bytes)
  const { revision, result } = await decideOne(context, toDeleteStep(request))
  const answer = newAnswer(context, revision)
  if (result.type === 'delete') writeDeleteResult(answer, request, result)
  return answer
}

async function decideOne(
  { store }: EtcdContext,
  step: Step,
): Promise<{ revision: number; result: StepResult }> {
  const { revision, results } = await store.decide({ conditions: [], steps: [step], otherwise: [] })
  return { revision, result: must(results[0], 'the result of the only step') }
}

async function txn(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  refuseTooLarge(bytes)
  const request = readTxnRequest(bytes)
  const result = await context.store.decide(toDecision(request))
  const answer = newAnswer(context, result.revision)
  writeTxnResult(answer, context, request, result)
  return answer
}

async function compact(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  const { store } = context
  const { revision } = readCompactionRequest(bytes)
  if (revision <= store.compactedRevision) throw etcdErrors.compacted()
  if (revision > store.revision) throw etcdErrors.futureRevision()
  await store.compact(revision)
  return newAnswer(context)
}

function refuseTooLarge(request: Buffer): void {
  if (request.length > TRANSACTION_BYTES_MAX) throw etcdErrors.requestTooLarge()
}
