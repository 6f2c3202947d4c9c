/** Builds who the API server believes, and who else it asks, out of the options of this node's API server. */
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { parseGoDuration } from '../kube/time.ts'
import {
  type AuthenticationConfiguration,
  type JwtIssuer,
  parseAuthentication,
} from './apiserver/authn/authentication-configuration.ts'
import { createAuthenticator } from './apiserver/authn/authn.ts'
import { createBootstrapTokens } from './apiserver/authn/bootstrap-tokens.ts'
import { createJwtIssuers } from './apiserver/authn/jwt-issuers.ts'
import { createTokenWebhook, fetchJson, reviewerAt } from './apiserver/authn/remote-review.ts'
import {
  type ConfiguredAuthorizer,
  parseAuthorization,
  plainWebhook,
} from './apiserver/authz/authorization-configuration.ts'
import type { LocalAuthorizer } from './apiserver/authz/authz.ts'
import { orderedAuthorizer } from './apiserver/authz/ordered.ts'
import type { ReviewAuthorizer } from './apiserver/authz/reviews.ts'
import type { ObjectReader } from './apiserver/ports.ts'
import { readConfigured } from './server-audit.ts'

export interface AccessParts {
  readonly config: NodeConfig
  readonly issuer: string
  readonly publicKeys: () => readonly string[]
  readonly objects: ObjectReader
  readonly clock: Clock
}

const NAME = 'AuthenticationConfiguration of the options --oidc-…'

export function buildAuthenticator({ config, issuer, publicKeys, objects, clock }: AccessParts) {
  const options = config.apiServer ?? {}
  const { issuers, anonymous } = authenticationOf(options)
  const ownAudiences = [issuer]
  const webhook = options['tokenWebhookConfigFile']
  return createAuthenticator({
    serviceAccounts: { issuer, publicKeys },
    others: [
      createBootstrapTokens({ objects, clock, ownAudiences }),
      ...(issuers.length === 0 ? [] : [createJwtIssuers({ issuers, ownAudiences, fetchJson, clock })]),
      ...(webhook === undefined
        ? []
        : [createTokenWebhook(reviewerFor(webhook), clock, ttlOf(options, 'tokenWebhookCacheTtl', '2m'))]),
    ],
    ...(anonymous === null ? {} : { anonymous }),
    objects,
    clock,
  })
}

/** What requests and reviews are judged by: in the order of the configuration, where there is one. */
export function buildReviewAuthorizer(
  config: NodeConfig,
  authorizer: LocalAuthorizer,
  clock: Clock,
): ReviewAuthorizer {
  const configured = authorizationOf(config.apiServer ?? {})
  if (configured.join() === BUILT_IN.join()) return authorizer
  const steps = configured.map(step =>
    typeof step === 'string'
      ? step
      : { webhook: step, post: reviewerFor(step.kubeConfigFile, step.timeoutMs) },
  )
  return orderedAuthorizer(authorizer, steps, clock)
}

const reviewerFor = (path: string, timeoutMs?: number) =>
  reviewerAt(readConfigured(path), path, readConfigured, timeoutMs)

/** Texts of options were checked before. */
const ttlOf = (options: Readonly<Record<string, string>>, name: string, fallback: string): number =>
  parseGoDuration(options[name] ?? fallback) ?? 0

const BUILT_IN: readonly ConfiguredAuthorizer[] = ['Node', 'RBAC']

function authorizationOf(options: Readonly<Record<string, string>>): readonly ConfiguredAuthorizer[] {
  const file = options['authorizationConfig']
  const kubeconfig = options['authorizationWebhookConfigFile']
  if (file !== undefined && kubeconfig !== undefined)
    throw new Mk8sError(
      'config/invalid',
      '--authorization-config and --authorization-webhook-config-file cannot be used together',
    )
  if (file !== undefined) return parseAuthorization(readConfigured(file), file)
  if (kubeconfig === undefined) return BUILT_IN
  return [
    ...BUILT_IN,
    plainWebhook(kubeconfig, {
      authorizedTtlMs: ttlOf(options, 'authorizationWebhookCacheAuthorizedTtl', '5m'),
      unauthorizedTtlMs: ttlOf(options, 'authorizationWebhookCacheUnauthorizedTtl', '30s'),
    }),
  ]
}

function authenticationOf(options: Readonly<Record<string, string>>): AuthenticationConfiguration {
  const file = options['authenticationConfig']
  const url = options['oidcIssuerUrl']
  if (file !== undefined && url !== undefined)
    throw new Mk8sError('config/invalid', '--authentication-config and --oidc-… cannot be used together')
  if (file !== undefined) return parseAuthentication(readConfigured(file), file)
  return { issuers: url === undefined ? [] : [plainIssuer(options, url)], anonymous: null }
}

/** The plain options in the words of a structured configuration. */
function plainIssuer(options: Readonly<Record<string, string>>, url: string): JwtIssuer {
  const claim = options['oidcUsernameClaim'] ?? 'sub'
  const given = options['oidcUsernamePrefix']
  const prefix = given === '-' ? '' : (given ?? (claim === 'email' ? '' : `${url}#`))
  const groups = options['oidcGroupsClaim']
  const file = options['oidcCaFile']
  const text = JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: {
          url,
          audiences: [options['oidcClientId'] ?? ''].filter(one => one !== ''),
          ...(file === undefined ? {} : { certificateAuthority: readConfigured(file) }),
        },
        claimMappings: {
          username: { claim, prefix },
          ...(groups === undefined
            ? {}
            : { groups: { claim: groups, prefix: options['oidcGroupsPrefix'] ?? '' } }),
        },
      },
    ],
  })
  const [issuer] = parseAuthentication(text, NAME).issuers
  if (issuer === undefined) throw new TypeError('an issuer was given')
  return issuer
}
