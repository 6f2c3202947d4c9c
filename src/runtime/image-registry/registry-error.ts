/** What the registry refuses, in the codes of the distribution specification. */

const codes = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  BLOB_UPLOAD_INVALID: { status: 400, message: 'blob upload invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'blob upload unknown to registry' },
  DIGEST_INVALID: { status: 400, message: 'provided digest did not match uploaded content' },
  MANIFEST_BLOB_UNKNOWN: { status: 404, message: 'manifest references a blob unknown to registry' },
  MANIFEST_INVALID: { status: 400, message: 'manifest invalid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown to registry' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to registry' },
  SIZE_INVALID: { status: 400, message: 'provided length did not match content length' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  UNAVAILABLE: { status: 503, message: 'service unavailable' },
  TOOMANYREQUESTS: { status: 429, message: 'too many requests' },
} as const

export type RegistryErrorCode = keyof typeof codes

export interface RegistryErrorOptions {
  /** Where it differs from the code's own. */
  readonly status?: number
  /** What exactly is wrong, for people. */
  readonly detail?: string
  readonly headers?: Readonly<Record<string, string>>
}

export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly code: RegistryErrorCode
  readonly status: number
  readonly detail: string
  readonly headers: Readonly<Record<string, string>>

  constructor(code: RegistryErrorCode, options: RegistryErrorOptions = {}) {
    super(codes[code].message)
    this.code = code
    this.status = options.status ?? codes[code].status
    this.detail = options.detail ?? ''
    this.headers = options.headers ?? {}
  }

  /** The body that the specification wants. */
  get body(): string {
    const { code, message, detail } = this
    const text = detail === '' ? message : `${message}: ${detail}`
    return JSON.stringify({ errors: [{ code, message: text, detail: detail === '' ? null : detail }] })
  }
}

/** There is no room: by the quota, or on the disk itself. */
export const noRoom = (detail: string): RegistryError => new RegistryError('DENIED', { status: 507, detail })
