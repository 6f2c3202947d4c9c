/** gRPC's status codes, and the error that ends a call with one of them. Source: gRPC's specification of status codes. */

export const grpcCodes = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

export type GrpcCode = (typeof grpcCodes)[keyof typeof grpcCodes]

export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: GrpcCode

  constructor(code: GrpcCode, message: string) {
    super(message)
    this.code = code
  }
}

/** As `grpc-message` wants it: printable ASCII without "%" as it is, every other byte as %XX. */
export function encodeGrpcMessage(message: string): string {
  let encoded = ''
  for (const byte of Buffer.from(message, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/** The `grpc-timeout` header in milliseconds; null when it is none. */
export function parseGrpcTimeout(text: string): number | null {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text)
  return match === null ? null : Number(match[1]) * (unitMs[match[2] ?? ''] ?? 0)
}
