/** macOS executables as bytes: an ad-hoc code signature, without which arm64 starts nothing. */
import { createHash } from 'node:crypto'

const MAGIC = 0xfeedfacf
const HEADER_SIZE = 32
const CPU_ARM64 = 0x0100000c
const SEGMENT_64 = 0x19
const CODE_SIGNATURE = 0x1d
const COMMAND_SIZE = 16
const PAGE = 4096
const HASH = 32

const SUPER_BLOB = 0xfade0cc0
const SUPER_BLOB_HEADER = 20
const CODE_DIRECTORY = 0xfade0c02
const CODE_DIRECTORY_HEADER = 88
const VERSION_WITH_EXECUTABLE_SEGMENT = 0x20400
const AD_HOC = 2
const SHA256 = 2
const MAIN_BINARY = 1

interface Command {
  readonly at: number
  readonly type: number
  readonly size: number
}

function commandsOf(file: Buffer): Command[] {
  if (file.readUInt32LE(0) !== MAGIC) throw new Error('the base is not a thin 64-bit Mach-O file')
  const commands: Command[] = []
  let at = HEADER_SIZE
  for (let count = file.readUInt32LE(16); count > 0; count--) {
    const command = { at, type: file.readUInt32LE(at), size: file.readUInt32LE(at + 4) }
    commands.push(command)
    at += command.size
  }
  return commands
}

function segment(file: Buffer, commands: readonly Command[], name: string): number {
  const found = commands.find(
    ({ type, at }) =>
      type === SEGMENT_64 && file.toString('latin1', at + 8, at + 8 + name.length + 1) === `${name}\0`,
  )
  if (found === undefined) throw new Error(`the base has no segment ${name}`)
  return found.at
}

/** The lowest file offset of any section: load commands have room up to there. */
function firstSection(file: Buffer, commands: readonly Command[]): number {
  let first = file.length
  for (const { at, type } of commands) {
    if (type !== SEGMENT_64) continue
    for (let index = 0; index < file.readUInt32LE(at + 64); index++) {
      const offset = file.readUInt32LE(at + 72 + index * 80 + 48)
      if (offset > 0) first = Math.min(first, offset)
    }
  }
  return first
}

function roundedUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

/** `unsigned` with an ad-hoc signature for `identifier`. @throws Error when it has one, or no room for one. */
export function signAdHoc(unsigned: Buffer, identifier: string): Buffer {
  const commands = commandsOf(unsigned)
  if (commands.some(({ type }) => type === CODE_SIGNATURE)) throw new Error('the file is signed already')
  const commandsEnd = HEADER_SIZE + unsigned.readUInt32LE(20)
  if (commandsEnd + COMMAND_SIZE > firstSection(unsigned, commands)) {
    throw new Error('there is no room for another load command')
  }
  const limit = roundedUp(unsigned.length, 16)
  const pages = Math.ceil(limit / PAGE)
  const name = Buffer.from(`${identifier}\0`, 'latin1')
  const directorySize = CODE_DIRECTORY_HEADER + name.length + HASH * pages
  const signatureSize = roundedUp(SUPER_BLOB_HEADER + directorySize, 16)
  const signed = Buffer.alloc(limit + signatureSize)
  unsigned.copy(signed)
  addCommand(signed, commandsEnd, { limit, signatureSize })
  growLinkEdit(signed, commands)
  const text = segment(signed, commands, '__TEXT')
  const directory = codeDirectory({ name, pages, limit, size: directorySize, text: signed.subarray(text) })
  hashesOf(signed, limit).forEach((hash, page) => {
    hash.copy(directory, CODE_DIRECTORY_HEADER + name.length + page * HASH)
  })
  superBlob(directory).copy(signed, limit)
  return signed
}

function addCommand(
  file: Buffer,
  at: number,
  { limit, signatureSize }: Record<'limit' | 'signatureSize', number>,
): void {
  file.writeUInt32LE(file.readUInt32LE(16) + 1, 16)
  file.writeUInt32LE(file.readUInt32LE(20) + COMMAND_SIZE, 20)
  ;[CODE_SIGNATURE, COMMAND_SIZE, limit, signatureSize].forEach((value, index) => {
    file.writeUInt32LE(value, at + index * 4)
  })
}

/** The signature belongs to the segment __LINKEDIT, which ends the file. */
function growLinkEdit(file: Buffer, commands: readonly Command[]): void {
  const at = segment(file, commands, '__LINKEDIT')
  const page = file.readUInt32LE(4) === CPU_ARM64 ? 16_384 : PAGE
  const size = file.length - Number(file.readBigUInt64LE(at + 40))
  file.writeBigUInt64LE(BigInt(size), at + 48)
  file.writeBigUInt64LE(BigInt(roundedUp(size, page)), at + 32)
}

interface DirectoryParts {
  readonly name: Buffer
  readonly pages: number
  readonly limit: number
  readonly size: number
  /** The load command of the segment __TEXT. */
  readonly text: Buffer
}

function codeDirectory({ name, pages, limit, size, text }: DirectoryParts): Buffer {
  const directory = Buffer.alloc(size)
  const words = [
    CODE_DIRECTORY,
    size,
    VERSION_WITH_EXECUTABLE_SEGMENT,
    AD_HOC,
    CODE_DIRECTORY_HEADER + name.length,
    CODE_DIRECTORY_HEADER,
    0,
    pages,
    limit,
  ]
  words.forEach((word, index) => {
    directory.writeUInt32BE(word, index * 4)
  })
  Buffer.from([HASH, SHA256, 0, Math.log2(PAGE)]).copy(directory, 36)
  directory.writeBigUInt64BE(text.readBigUInt64LE(40), 64)
  directory.writeBigUInt64BE(text.readBigUInt64LE(48), 72)
  directory.writeBigUInt64BE(BigInt(MAIN_BINARY), 80)
  name.copy(directory, CODE_DIRECTORY_HEADER)
  return directory
}

function superBlob(directory: Buffer): Buffer {
  const header = Buffer.alloc(SUPER_BLOB_HEADER)
  ;[SUPER_BLOB, SUPER_BLOB_HEADER + directory.length, 1, 0, SUPER_BLOB_HEADER].forEach((word, index) => {
    header.writeUInt32BE(word, index * 4)
  })
  return Buffer.concat([header, directory])
}

function hashesOf(file: Buffer, limit: number): Buffer[] {
  const hashes: Buffer[] = []
  for (let at = 0; at < limit; at += PAGE) {
    hashes.push(
      createHash('sha256')
        .update(file.subarray(at, Math.min(at + PAGE, limit)))
        .digest(),
    )
  }
  return hashes
}

/** Checks every page of a signed file against its signature. @throws Error at the first one that does not fit. */
export function checkSignature(file: Buffer): void {
  const command = commandsOf(file).find(({ type }) => type === CODE_SIGNATURE)
  if (command === undefined) throw new Error('the file is not signed')
  const blob = file.subarray(file.readUInt32LE(command.at + 8))
  if (blob.readUInt32BE(0) !== SUPER_BLOB) throw new Error('the signature is no super blob')
  const directory = blob.subarray(blob.readUInt32BE(16))
  if (directory.readUInt32BE(0) !== CODE_DIRECTORY) throw new Error('the signature has no code directory')
  const [hashOffset, limit] = [directory.readUInt32BE(16), directory.readUInt32BE(32)]
  hashesOf(file, limit).forEach((hash, page) => {
    const at = hashOffset + page * HASH
    if (!hash.equals(directory.subarray(at, at + HASH)))
      throw new Error(`page ${page} is not what was signed`)
  })
}
