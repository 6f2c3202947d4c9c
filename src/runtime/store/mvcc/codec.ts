/**
 * Commands as the payload of log entries, all numbers little-endian:
 *   transaction: `compares u16 · operations u16`, then each compare `target u8 · key · equals u64`,
 *   each operation `type u8 · key · lease u64 · length u32 · value`; a key is `length u16 · UTF-8`.
 *   decision: see decision-codec.ts · compaction: `revision u64` · lease grant: `ttlMs u64 · [lease u64]` · lease revocation: `lease u64`.
 */
import {
  ENTRY_FORMAT_VERSION,
  type EntryHeader,
  entryTypes,
  readNumber,
  writeNumber,
} from '../../raft/entry.ts'
import type { Compare, Operation, Transaction } from '../store.ts'
import type { Command } from './command.ts'
import { readDecision, sizeOfDecision, writeDecision } from './decision-codec.ts'

const targets: readonly Compare['target'][] = ['mod-revision', 'create-revision', 'version']
const PUT = 1
const DELETE = 2

export function entryTypeOf(command: Command): number {
  if (command.type === 'transaction') return entryTypes.transaction
  if (command.type === 'decision') return entryTypes.decision
  if (command.type === 'compaction') return entryTypes.compaction
  return command.type === 'lease-grant' ? entryTypes.leaseGrant : entryTypes.leaseRevocation
}

export function sizeOfCommand(command: Command): number {
  if (command.type === 'decision') return sizeOfDecision(command.decision)
  if (command.type === 'lease-grant') return command.lease === undefined ? 8 : 16
  if (command.type !== 'transaction') return 8
  const { compares, operations } = command.transaction
  let bytes = 4
  for (const { key } of compares) bytes += 11 + Buffer.byteLength(key)
  for (const operation of operations) {
    bytes += 3 + Buffer.byteLength(operation.key)
    if (operation.type === 'put') bytes += 12 + operation.value.length
  }
  return bytes
}

/** Writes the payload at `offset` and returns where it ends. */
export function writeCommand(bytes: Buffer, offset: number, command: Command): number {
  switch (command.type) {
    case 'transaction':
      return writeTransaction(bytes, offset, command.transaction)
    case 'decision':
      return writeDecision(bytes, offset, command.decision)
    case 'compaction':
      return writeU64(bytes, offset, command.revision)
    case 'lease-grant': {
      const end = writeU64(bytes, offset, command.ttlMs)
      return command.lease === undefined ? end : writeU64(bytes, end, command.lease)
    }
    case 'lease-revocation':
      return writeU64(bytes, offset, command.lease)
  }
}

function writeTransaction(bytes: Buffer, start: number, { compares, operations }: Transaction): number {
  let offset = bytes.writeUInt16LE(compares.length, start)
  offset = bytes.writeUInt16LE(operations.length, offset)
  for (const { key, target, equals } of compares) {
    offset = bytes.writeUInt8(targets.indexOf(target), offset)
    offset = writeU64(bytes, writeKey(bytes, offset, key), equals)
  }
  for (const operation of operations) offset = writeOperation(bytes, offset, operation)
  return offset
}

function writeOperation(bytes: Buffer, start: number, operation: Operation): number {
  let offset = bytes.writeUInt8(operation.type === 'put' ? PUT : DELETE, start)
  offset = writeKey(bytes, offset, operation.key)
  if (operation.type === 'delete') return offset
  offset = writeU64(bytes, offset, operation.lease ?? 0)
  offset = bytes.writeUInt32LE(operation.value.length, offset)
  operation.value.copy(bytes, offset)
  return offset + operation.value.length
}

function writeKey(bytes: Buffer, offset: number, key: string): number {
  const length = bytes.write(key, offset + 2, 'utf8')
  bytes.writeUInt16LE(length, offset)
  return offset + 2 + length
}

function writeU64(bytes: Buffer, offset: number, value: number): number {
  writeNumber(bytes, offset, value)
  return offset + 8
}

/** Null for an entry of Raft's own; 'unknown' for a type or version of a later mk8s. */
export function readCommand(header: EntryHeader, payload: Buffer): Command | null | 'unknown' {
  if (header.version !== ENTRY_FORMAT_VERSION) return 'unknown'
  switch (header.type) {
    case entryTypes.noOp:
    case entryTypes.membership:
      return null
    case entryTypes.transaction:
      return { type: 'transaction', transaction: readTransaction(payload) }
    case entryTypes.decision:
      return { type: 'decision', decision: readDecision(payload) }
    case entryTypes.compaction:
      return { type: 'compaction', revision: readNumber(payload, 0) }
    case entryTypes.leaseGrant: {
      const lease = payload.length > 8 ? { lease: readNumber(payload, 8) } : {}
      return { type: 'lease-grant', ttlMs: readNumber(payload, 0), ...lease }
    }
    case entryTypes.leaseRevocation:
      return { type: 'lease-revocation', lease: readNumber(payload, 0) }
    default:
      return 'unknown'
  }
}

function readTransaction(bytes: Buffer): Transaction {
  let offset = 4
  const readKey = (): string => {
    const end = offset + 2 + bytes.readUInt16LE(offset)
    const key = bytes.toString('utf8', offset + 2, end)
    offset = end
    return key
  }
  const readU64 = (): number => {
    offset += 8
    return readNumber(bytes, offset - 8)
  }
  const readCompare = (): Compare => {
    const target = targets[bytes.readUInt8(offset++)] ?? 'mod-revision'
    return { target, key: readKey(), equals: readU64() }
  }
  const readOperation = (): Operation => {
    const type = bytes.readUInt8(offset++)
    const key = readKey()
    if (type === DELETE) return { type: 'delete', key }
    const lease = readU64()
    const start = offset + 4
    offset = start + bytes.readUInt32LE(offset)
    // Without a copy: the state machine copies what it keeps.
    return { type: 'put', key, lease, value: bytes.subarray(start, offset) }
  }
  const compares: Compare[] = []
  for (let left = bytes.readUInt16LE(0); left > 0; left--) compares.push(readCompare())
  const operations: Operation[] = []
  for (let left = bytes.readUInt16LE(2); left > 0; left--) operations.push(readOperation())
  return { compares, operations }
}
