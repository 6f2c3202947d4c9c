/** Windows executables as bytes: the signature of the base, which does not fit what is made of it, taken away. */

const HEADER_POINTER = 60
const OPTIONAL_HEADER = 24
const PE32_PLUS = 0x20b
const CHECKSUM = 64
/** Of the certificate table, the fourth data directory. */
const CERTIFICATES = 112 + 32

function optionalHeader(pe: Buffer): number {
  const header = pe.readUInt32LE(HEADER_POINTER)
  if (pe.toString('latin1', header, header + 4) !== 'PE\0\0') throw new Error('the base is not a PE file')
  const optional = header + OPTIONAL_HEADER
  if (pe.readUInt16LE(optional) !== PE32_PLUS) throw new Error('the base is not a 64-bit PE file')
  return optional
}

/** `pe` without its Authenticode signature. @throws Error when that does not end the file. */
export function withoutSignature(pe: Buffer): Buffer {
  const directory = optionalHeader(pe) + CERTIFICATES
  const [offset, size] = [pe.readUInt32LE(directory), pe.readUInt32LE(directory + 4)]
  if (size === 0) return Buffer.from(pe)
  if (offset + size !== pe.length) throw new Error('the signature of the base does not end it')
  const unsigned = Buffer.from(pe.subarray(0, offset))
  unsigned.writeUInt32LE(0, directory)
  unsigned.writeUInt32LE(0, directory + 4)
  unsigned.writeUInt32LE(0, optionalHeader(unsigned) + CHECKSUM)
  return unsigned
}

export function isSigned(pe: Buffer): boolean {
  return pe.readUInt32LE(optionalHeader(pe) + CERTIFICATES + 4) !== 0
}
