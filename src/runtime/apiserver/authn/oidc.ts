/** The two documents with which others check this cluster's service-account tokens. */
import { readVerifyingKey, toJwk } from './jwt.ts'

export interface OidcDocuments {
  /** For `/.well-known/openid-configuration`, `application/json`. */
  configuration(): string
  /** For `/openid/v1/jwks`, `application/jwk-set+json`. */
  keys(): string
}

export function createOidcDocuments(parts: {
  readonly issuer: string
  /** `https://192.0.2.10:16443/openid/v1/jwks`. */
  readonly jwksUri: string
  /** PEM. */
  readonly publicKeys: () => readonly string[]
}): OidcDocuments {
  const keys = () => parts.publicKeys().map(readVerifyingKey)
  return {
    configuration: () =>
      JSON.stringify({
        issuer: parts.issuer,
        jwks_uri: parts.jwksUri,
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: [...new Set(keys().map(key => key.algorithm))],
      }),
    keys: () => JSON.stringify({ keys: keys().map(toJwk) }),
  }
}
