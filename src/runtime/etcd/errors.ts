/** What etcd says when something fails, code and words, so that its clients recognise it; and our errors as etcd's. */
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { type GrpcCode, GrpcError, grpcCodes } from './grpc/status.ts'

const etcd = (code: GrpcCode, message: string) => () => new GrpcError(code, `etcdserver: ${message}`)

const { invalidArgument, outOfRange, notFound, failedPrecondition, resourceExhausted, unavailable } =
  grpcCodes

export const etcdErrors = {
  emptyKey: etcd(invalidArgument, 'key is not provided'),
  keyNotFound: etcd(invalidArgument, 'key not found'),
  valueProvided: etcd(invalidArgument, 'value is provided'),
  leaseProvided: etcd(invalidArgument, 'lease is provided'),
  tooManyOperations: etcd(invalidArgument, 'too many operations in txn request'),
  duplicateKey: etcd(invalidArgument, 'duplicate key given in txn request'),
  invalidSort: etcd(invalidArgument, 'invalid sort option'),
  requestTooLarge: etcd(invalidArgument, 'request is too large'),
  compacted: etcd(outOfRange, 'mvcc: required revision has been compacted'),
  futureRevision: etcd(outOfRange, 'mvcc: required revision is a future revision'),
  leaseNotFound: etcd(notFound, 'requested lease not found'),
  leaseExists: etcd(failedPrecondition, 'lease already exists'),
  leaseTtlTooLarge: etcd(outOfRange, 'too large lease TTL'),
  authNotEnabled: etcd(failedPrecondition, 'authentication is not enabled'),
  tooManyRequests: etcd(resourceExhausted, 'too many requests'),
  notLeader: etcd(failedPrecondition, 'not leader'),
  badTransferee: etcd(failedPrecondition, 'bad leader transferee'),
  transferTimeout: etcd(unavailable, 'request timed out, leader transfer took too long'),
  noLeader: etcd(unavailable, 'no leader'),
  timeout: etcd(unavailable, 'request timed out'),
  stopped: etcd(unavailable, 'server stopped'),
} as const

/** Something that is done in another way here. */
export function elsewhereError(message: string): GrpcError {
  return new GrpcError(failedPrecondition, `mk8s: ${message}`)
}

/** A limit of this store that etcd does not have. */
export function limitError(message: string): GrpcError {
  return new GrpcError(invalidArgument, `mk8s: ${message}`)
}

export function notServedError(message: string): GrpcError {
  return new GrpcError(grpcCodes.unimplemented, `mk8s: ${message}`)
}

export function toGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error
  if (!(error instanceof Mk8sError)) return new GrpcError(grpcCodes.internal, messageOf(error))
  switch (error.code) {
    case 'store/compacted':
      return etcdErrors.compacted()
    case 'store/future-revision':
      return etcdErrors.futureRevision()
    case 'store/no-key':
      return etcdErrors.keyNotFound()
    case 'store/no-lease':
      return etcdErrors.leaseNotFound()
    case 'store/lease-exists':
      return etcdErrors.leaseExists()
    case 'store/too-large':
      return etcdErrors.requestTooLarge()
    case 'store/overloaded':
      return etcdErrors.tooManyRequests()
    case 'store/no-leader':
      return etcdErrors.noLeader()
    case 'store/outcome-unknown':
    case 'timeout':
      return etcdErrors.timeout()
    default:
      return new GrpcError(grpcCodes.unknown, `mk8s: ${error.message}`)
  }
}
