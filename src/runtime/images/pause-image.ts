/**
 * The program that holds a pod's namespaces open, as machine code: children that end are reaped by the kernel
 * (SIGCHLD is ignored), SIGTERM and SIGINT end it with 0, and it waits for them for ever. Pure.
 */
import { type Architecture, renderOciArchive } from './oci-archive.ts'

export const PAUSE_IMAGE = 'localhost/mk8s/pause:1'

const BASE = 0x40_0000
const ELF_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const CODE_AT = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES
const SIGINT = 2
const SIGCHLD = 17
const SIGTERM = 15
const SIG_IGN = 1n
/** The kernel's sigaction: handler, flags, restorer, mask. */
const ACTION_BYTES = 32
const SET_BYTES = 8
const MACHINES = { amd64: 62, arm64: 183 } as const

interface Addresses {
  readonly action: number
  readonly set: number
}

export function pauseImage(architecture: Architecture): Buffer {
  return renderOciArchive({
    name: PAUSE_IMAGE,
    architecture,
    files: [{ type: 'file', name: 'pause', mode: 0o755, content: pauseProgram(architecture) }],
    entrypoint: ['/pause'],
  })
}

/** A static ELF executable. */
export function pauseProgram(architecture: Architecture): Buffer {
  const emit = architecture === 'amd64' ? emitAmd64 : emitArm64
  // The code's length does not depend on the addresses in it.
  const codeBytes = emit({ action: BASE, set: BASE }).length
  const action = CODE_AT + Math.ceil(codeBytes / 8) * 8
  const set = action + ACTION_BYTES
  const program = Buffer.alloc(set + SET_BYTES)
  writeHeaders(program, MACHINES[architecture])
  emit({ action: BASE + action, set: BASE + set }).copy(program, CODE_AT)
  program.writeBigUInt64LE(SIG_IGN, action)
  program.writeUInt32LE((1 << (SIGTERM - 1)) | (1 << (SIGINT - 1)), set)
  return program
}

/** One segment that holds the whole file, readable and executable. */
function writeHeaders(program: Buffer, machine: number): void {
  program.write('\x7fELF\x02\x01\x01', 0, 'latin1')
  program.writeUInt16LE(2, 16)
  program.writeUInt16LE(machine, 18)
  program.writeUInt32LE(1, 20)
  program.writeBigUInt64LE(BigInt(BASE + CODE_AT), 24)
  program.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32)
  program.writeUInt16LE(ELF_HEADER_BYTES, 52)
  program.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  program.writeUInt16LE(1, 56)
  const at = ELF_HEADER_BYTES
  program.writeUInt32LE(1, at)
  program.writeUInt32LE(5, at + 4)
  program.writeBigUInt64LE(BigInt(BASE), at + 16)
  program.writeBigUInt64LE(BigInt(BASE), at + 24)
  program.writeBigUInt64LE(BigInt(program.length), at + 32)
  program.writeBigUInt64LE(BigInt(program.length), at + 40)
  program.writeBigUInt64LE(0x1000n, at + 48)
}

function emitAmd64({ action, set }: Addresses): Buffer {
  const word = (value: number) => [...Buffer.from(new Uint32Array([value]).buffer)]
  const eax = (value: number) => [0xb8, ...word(value)]
  const edi = (value: number) => [0xbf, ...word(value)]
  const esi = (value: number) => [0xbe, ...word(value)]
  const noEdi = [0x31, 0xff]
  const noEsi = [0x31, 0xf6]
  const noEdx = [0x31, 0xd2]
  const r10 = (value: number) => [0x41, 0xba, ...word(value)]
  const syscall = [0x0f, 0x05]
  const wait = [...eax(128), ...edi(set), ...noEsi, ...noEdx, ...r10(SET_BYTES), ...syscall, 0x85, 0xc0]
  return Buffer.from([
    ...[...eax(13), ...edi(SIGCHLD), ...esi(action), ...noEdx, ...r10(SET_BYTES), ...syscall],
    ...[...eax(14), ...noEdi, ...esi(set), ...noEdx, ...r10(SET_BYTES), ...syscall],
    // jle back to the wait, over itself too
    ...[...wait, 0x7e, 256 - (wait.length + 2)],
    ...[...eax(231), ...noEdi, ...syscall],
  ])
}

function emitArm64({ action, set }: Addresses): Buffer {
  const move = (register: number, value: number) => [
    0xd2800000 + (value & 0xffff) * 32 + register,
    0xf2a00000 + (value >>> 16) * 32 + register,
  ]
  const call = (number: number, ...values: number[]) => [
    ...move(8, number),
    ...values.flatMap((value, register) => move(register, value)),
    0xd4000001,
  ]
  // subs xzr, x0, #0
  const wait = [...call(137, set, 0, 0, SET_BYTES), 0xf100001f]
  const back = (0x80000 - wait.length) * 32
  const words = [
    ...call(134, SIGCHLD, action, 0, SET_BYTES),
    ...call(135, 0, set, 0, SET_BYTES),
    // b.le
    ...[...wait, 0x54000000 + back + 0xd],
    ...call(94, 0),
  ]
  return Buffer.from(new Uint32Array(words).buffer)
}
