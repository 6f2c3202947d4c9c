/**
 * A decision as the payload of a log entry, all numbers little-endian:
 *   decision: `conditions u16 · steps u16 · otherwise u16`, then each;
 *   condition: `target u8 · relation u8 · key · has end u8 · [end] · operand` (value: `length u32 · bytes`, else u64);
 *   step: `type u8`, then put: `key · keep u8 · lease u64 · length u32 · value`, delete: `key · end`,
 *   range: `start · end · limit u64 · revision u64`, decision: a decision; a key is `length u16 · UTF-8`.
 */
import { must } from '../../../base/assert.ts'
import { readNumber, writeNumber } from '../../raft/entry.ts'
import type { Condition, Decision, Step } from '../store.ts'

const targets: readonly Condition['target'][] = [
  'mod-revision',
  'create-revision',
  'version',
  'lease',
  'value',
]
const relations: readonly Condition['relation'][] = ['equal', 'not-equal', 'greater', 'less']
const stepTypes: readonly Step['type'][] = ['put', 'delete', 'range', 'decision']
const KEEP_VALUE = 1
const KEEP_LEASE = 2
const NOTHING = Buffer.alloc(0)

/** Where a decision is written to: bytes, or only a count of them. */
interface Sink {
  u8(value: number): void
  u16(value: number): void
  u64(value: number): void
  key(key: string): void
  value(bytes: Buffer): void
}

class ByteCounter implements Sink {
  bytes = 0
  u8(): void {
    this.bytes += 1
  }
  u16(): void {
    this.bytes += 2
  }
  u64(): void {
    this.bytes += 8
  }
  key(key: string): void {
    this.bytes += 2 + Buffer.byteLength(key)
  }
  value(bytes: Buffer): void {
    this.bytes += 4 + bytes.length
  }
}

class ByteWriter implements Sink {
  readonly #bytes: Buffer
  offset: number
  constructor(bytes: Buffer, offset: number) {
    this.#bytes = bytes
    this.offset = offset
  }
  u8(value: number): void {
    this.offset = this.#bytes.writeUInt8(value, this.offset)
  }
  u16(value: number): void {
    this.offset = this.#bytes.writeUInt16LE(value, this.offset)
  }
  u64(value: number): void {
    writeNumber(this.#bytes, this.offset, value)
    this.offset += 8
  }
  key(key: string): void {
    const length = this.#bytes.write(key, this.offset + 2, 'utf8')
    this.#bytes.writeUInt16LE(length, this.offset)
    this.offset += 2 + length
  }
  value(bytes: Buffer): void {
    this.offset = this.#bytes.writeUInt32LE(bytes.length, this.offset)
    this.offset += bytes.copy(this.#bytes, this.offset)
  }
}

export function sizeOfDecision(decision: Decision): number {
  const counter = new ByteCounter()
  put(counter, decision)
  return counter.bytes
}

/** Writes the decision at `offset` and returns where it ends. */
export function writeDecision(bytes: Buffer, offset: number, decision: Decision): number {
  const writer = new ByteWriter(bytes, offset)
  put(writer, decision)
  return writer.offset
}

function put(sink: Sink, { conditions, steps, otherwise }: Decision): void {
  for (const list of [conditions, steps, otherwise]) sink.u16(list.length)
  for (const condition of conditions) putCondition(sink, condition)
  for (const step of [...steps, ...otherwise]) putStep(sink, step)
}

function putCondition(sink: Sink, { key, end, target, relation, operand }: Condition): void {
  sink.u8(targets.indexOf(target))
  sink.u8(relations.indexOf(relation))
  sink.key(key)
  sink.u8(end === undefined ? 0 : 1)
  if (end !== undefined) sink.key(end)
  if (typeof operand === 'number') sink.u64(operand)
  else sink.value(operand)
}

function putStep(sink: Sink, step: Step): void {
  sink.u8(stepTypes.indexOf(step.type))
  switch (step.type) {
    case 'put':
      sink.key(step.key)
      sink.u8((step.value === null ? KEEP_VALUE : 0) | (step.lease === null ? KEEP_LEASE : 0))
      sink.u64(step.lease ?? 0)
      sink.value(step.value ?? NOTHING)
      return
    case 'delete':
      sink.key(step.start)
      sink.key(step.end)
      return
    case 'range':
      sink.key(step.range.start)
      sink.key(step.range.end)
      sink.u64(step.range.limit ?? 0)
      sink.u64(step.range.revision ?? 0)
      return
    case 'decision':
      put(sink, step.decision)
  }
}

export function readDecision(bytes: Buffer): Decision {
  return new DecisionReader(bytes).decision()
}

class DecisionReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  decision(): Decision {
    const [conditions, steps, otherwise] = [this.#u16(), this.#u16(), this.#u16()]
    return {
      conditions: Array.from({ length: conditions }, () => this.#condition()),
      steps: Array.from({ length: steps }, () => this.#step()),
      otherwise: Array.from({ length: otherwise }, () => this.#step()),
    }
  }

  #condition(): Condition {
    const target = must(targets[this.#u8()], 'a target of a condition')
    const relation = must(relations[this.#u8()], 'a relation of a condition')
    const key = this.#key()
    const end = this.#u8() === 1 ? { end: this.#key() } : {}
    const operand = target === 'value' ? this.#value() : this.#u64()
    return { key, ...end, target, relation, operand } as Condition
  }

  #step(): Step {
    const type = must(stepTypes[this.#u8()], 'a type of a step')
    if (type === 'decision') return { type, decision: this.decision() }
    const key = this.#key()
    if (type === 'put') {
      const keep = this.#u8()
      const lease = this.#u64()
      const value = this.#value()
      return { type, key, value: keep & KEEP_VALUE ? null : value, lease: keep & KEEP_LEASE ? null : lease }
    }
    if (type === 'delete') return { type, start: key, end: this.#key() }
    const end = this.#key()
    const limit = this.#u64()
    const revision = this.#u64()
    return { type, range: { start: key, end, limit, ...(revision > 0 && { revision }) } }
  }

  #u8(): number {
    return this.#bytes.readUInt8(this.#offset++)
  }

  #u16(): number {
    this.#offset += 2
    return this.#bytes.readUInt16LE(this.#offset - 2)
  }

  #u64(): number {
    this.#offset += 8
    return readNumber(this.#bytes, this.#offset - 8)
  }

  #key(): string {
    const length = this.#u16()
    this.#offset += length
    return this.#bytes.toString('utf8', this.#offset - length, this.#offset)
  }

  #value(): Buffer {
    const start = this.#offset + 4
    this.#offset = start + this.#bytes.readUInt32LE(this.#offset)
    return Buffer.from(this.#bytes.subarray(start, this.#offset))
  }
}
