/** Builds who the API server believes, and who else it asks, out of the options of this node's API server. */
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { chosenAdmissionPlugins } from '../config/admission-plugins.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { parseGoDuration } from '../kube/time.ts'
import {
  ADMISSION_DEFAULT,
  type AdmissionSettings,
  parseAdmission,
} from './apiserver/admission/admission-configuration.ts'
import {
  type AuthenticationConfiguration,
  type JwtIssuer,
  parseAuthentication,
} from './apiserver/authn/authentication-configuration.ts'
import { createAuthenticator, type TokenAuthenticator } from './apiserver/authn/authn.ts'
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
import { FollowedFile } from './followed-file.ts'
import { readConfigured } from './server-audit.ts'

export interface AccessParts {
  readonly config: NodeConfig
  readonly issuer: string
  readonly publicKeys: () => readonly string[]
  readonly objects: ObjectReader
  /** Node and RBAC. */
  readonly authorizer: LocalAuthorizer
  readonly clock: Clock
  readonly log: Log
}

export interface Access {
  readonly authenticator: TokenAuthenticator
  /** What requests, reviews and admission are judged by. */
  readonly reviews: ReviewAuthorizer
  /** The structured configurations, which are read again when they change. */
  readonly files: readonly FollowedFile[]
}

type Options = Readonly<Record<string, string>>

const NAME = 'AuthenticationConfiguration of the options --oidc-…'

export function buildAccess(parts: AccessParts): Access {
  const [authenticator, authentication] = buildAuthenticator(parts)
  const [reviews, authorization] = buildReviewAuthorizer(parts)
  return { authenticator, reviews, files: [...authentication, ...authorization] }
}

function buildAuthenticator(parts: AccessParts): readonly [TokenAuthenticator, readonly FollowedFile[]] {
  const { config, issuer, publicKeys, objects, clock } = parts
  const options = config.apiServer ?? {}
  const ownAudiences = [issuer]
  const webhook = options['tokenWebhookConfigFile']
  const bootstrapTokens = createBootstrapTokens({ objects, clock, ownAudiences })
  const webhooks =
    webhook === undefined
      ? []
      : [createTokenWebhook(reviewerFor(webhook), clock, ttlOf(options, 'tokenWebhookCacheTtl', '2m'))]
  const presentOf = ({ issuers, anonymous }: AuthenticationConfiguration) => ({
    others: [
      bootstrapTokens,
      ...(issuers.length === 0 ? [] : [createJwtIssuers({ issuers, ownAudiences, fetchJson, clock })]),
      ...webhooks,
    ],
    anonymous,
  })
  const path = options['authenticationConfig']
  const text = path === undefined ? '' : readConfigured(path)
  let present = presentOf(authenticationOf(options, text))
  const authenticator = createAuthenticator({
    serviceAccounts: { issuer, publicKeys },
    present: () => present,
    objects,
    clock,
  })
  const apply = (changed: string) => {
    present = presentOf(authenticationOf(options, changed))
  }
  return [authenticator, followed(parts, 'authentication', { path, text, apply })]
}

/** In the order of the configuration, where there is one. */
function buildReviewAuthorizer(parts: AccessParts): readonly [ReviewAuthorizer, readonly FollowedFile[]] {
  const { config, authorizer, clock } = parts
  const options = config.apiServer ?? {}
  const judgeOf = (configured: readonly ConfiguredAuthorizer[]): ReviewAuthorizer => {
    if (configured.join() === BUILT_IN.join()) return authorizer
    const steps = configured.map(step =>
      typeof step === 'string'
        ? step
        : { webhook: step, post: reviewerFor(step.kubeConfigFile, step.timeoutMs) },
    )
    return orderedAuthorizer(authorizer, steps, clock)
  }
  const path = options['authorizationConfig']
  const text = path === undefined ? '' : readConfigured(path)
  let present = judgeOf(authorizationOf(options, text))
  const reviews: ReviewAuthorizer = {
    authorize: attributes => present.authorize(attributes),
    rulesFor: (user, namespace) => present.rulesFor(user, namespace),
  }
  const apply = (changed: string) => {
    present = judgeOf(authorizationOf(options, changed))
  }
  return [reviews, followed(parts, 'authorization', { path, text, apply })]
}

function followed(
  { config, clock, log }: AccessParts,
  what: 'authentication' | 'authorization',
  file: { readonly path: string | undefined; readonly text: string; readonly apply: (text: string) => void },
): readonly FollowedFile[] {
  const { path } = file
  if (path === undefined) return []
  const names = { name: `${what}-config`, metricPrefix: `apiserver_${what}_config_controller` }
  return [new FollowedFile({ ...file, ...names, path, serverId: config.nodeName, clock, log })]
}

const admissionSettings = (path: string | undefined): AdmissionSettings =>
  path === undefined ? ADMISSION_DEFAULT : parseAdmission(readConfigured(path), path, readConfigured)

/** Which admission plugins are on, and what they are told. */
export const admissionOf = ({ apiServer }: NodeConfig) => ({
  enabled: chosenAdmissionPlugins(
    apiServer?.['enableAdmissionPlugins'],
    apiServer?.['disableAdmissionPlugins'],
  ),
  settings: admissionSettings(apiServer?.['admissionControlConfigFile']),
  postReview: (path: string) => reviewerFor(path),
})

const reviewerFor = (path: string, timeoutMs?: number) =>
  reviewerAt(readConfigured(path), path, readConfigured, timeoutMs)

/** Texts of options were checked before. */
const ttlOf = (options: Options, name: string, fallback: string): number =>
  parseGoDuration(options[name] ?? fallback) ?? 0

const BUILT_IN: readonly ConfiguredAuthorizer[] = ['Node', 'RBAC']

/** `text` is that of the file, where the options name one. */
function authorizationOf(options: Options, text: string): readonly ConfiguredAuthorizer[] {
  const file = options['authorizationConfig']
  const kubeconfig = options['authorizationWebhookConfigFile']
  if (file !== undefined && kubeconfig !== undefined)
    throw new Mk8sError(
      'config/invalid',
      '--authorization-config and --authorization-webhook-config-file cannot be used together',
    )
  if (file !== undefined) return parseAuthorization(text, file)
  if (kubeconfig === undefined) return BUILT_IN
  return [
    ...BUILT_IN,
    plainWebhook(kubeconfig, {
      authorizedTtlMs: ttlOf(options, 'authorizationWebhookCacheAuthorizedTtl', '5m'),
      unauthorizedTtlMs: ttlOf(options, 'authorizationWebhookCacheUnauthorizedTtl', '30s'),
    }),
  ]
}

function authenticationOf(options: Options, text: string): AuthenticationConfiguration {
  const file = options['authenticationConfig']
  const url = options['oidcIssuerUrl']
  if (file !== undefined && url !== undefined)
    throw new Mk8sError('config/invalid', '--authentication-config and --oidc-… cannot be used together')
  if (file !== undefined) return parseAuthentication(text, file)
  return { issuers: url === undefined ? [] : [plainIssuer(options, url)], anonymous: null }
}

/** The plain options in the words of a structured configuration. */
function plainIssuer(options: Options, url: string): JwtIssuer {
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
