/**
 * Who a request comes from. A client certificate was verified by the TLS handshake, so its user is found once
 * per connection; bearer tokens are looked at with every request.
 */
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../../base/clock.ts'
import type { Authenticator } from '../ports.ts'
import type { UserInfo } from '../user.ts'

export interface ConnectionIdentity {
  /** The user; null when the credentials are not valid. */
  userOf(socket: TLSSocket, authorization: string | undefined, path: string): Promise<UserInfo | null>
}

interface Certificate {
  /** `invalid`: one was shown that no authority of ours vouches for. */
  readonly state: 'none' | 'valid' | 'invalid'
  readonly commonName: string
  readonly organizations: readonly string[]
  /** SHA-256 of the certificate, hexadecimal. */
  readonly sha256: string
  readonly validToMs: number
}

interface Known {
  readonly certificate: Certificate
  user?: UserInfo | null
}

const asList = (value: unknown): readonly string[] => {
  if (Array.isArray(value)) return value.filter(item => typeof item === 'string')
  return typeof value === 'string' ? [value] : []
}

function certificateOf(socket: TLSSocket): Certificate {
  const shown = socket.getPeerCertificate()
  const subject = shown?.subject as unknown as Record<string, unknown> | undefined
  if (subject === undefined)
    return { state: 'none', commonName: '', organizations: [], sha256: '', validToMs: 0 }
  return {
    state: socket.authorized ? 'valid' : 'invalid',
    commonName: asList(subject['CN'])[0] ?? '',
    organizations: asList(subject['O']),
    sha256: shown.fingerprint256.replaceAll(':', '').toLowerCase(),
    validToMs: Date.parse(shown.valid_to),
  }
}

const bearer = (authorization: string | undefined): string | undefined => {
  const match = /^bearer\s+(.*)$/i.exec(authorization ?? '')
  const token = match?.[1]?.trim() ?? ''
  return token === '' ? undefined : token
}

export function createConnectionIdentity(authenticator: Authenticator, clock: Clock): ConnectionIdentity {
  const connections = new WeakMap<object, Known>()
  const knownOf = (socket: TLSSocket): Known => {
    const known = connections.get(socket) ?? { certificate: certificateOf(socket) }
    connections.set(socket, known)
    return known
  }
  return {
    async userOf(socket, authorization, path) {
      const known = knownOf(socket)
      const { certificate } = known
      const token = bearer(authorization)
      if (certificate.state === 'valid') {
        if (clock.now() >= certificate.validToMs) return null
        if (known.user === undefined) known.user = await authenticator.authenticate({ certificate })
        if (known.user !== null || token === undefined) return known.user
      }
      if (token !== undefined) return authenticator.authenticate({ bearerToken: token })
      return certificate.state === 'invalid' ? null : authenticator.authenticate({ path })
    },
  }
}
