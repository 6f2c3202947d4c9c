/** Options of this node's API server. */
import { type OptionInfo, optionsOf } from './option-info.ts'

const apiServer = optionsOf('apiServer')

export const apiServerOptions: readonly OptionInfo[] = [
  apiServer(
    { name: 'auditPolicyFile', flag: 'audit-policy-file', type: 'file' },
    { default: '', meaning: 'no audit log' },
    'What the API server writes to its audit log, `audit/audit.log` in the data directory: a Policy of audit.k8s.io/v1.',
  ),
  apiServer(
    { name: 'auditLogMaxSize', flag: 'audit-log-maxsize', type: 'count' },
    { default: '100' },
    'The size in MiB at which a new file of the audit log is begun.',
  ),
  apiServer(
    { name: 'auditLogMaxBackup', flag: 'audit-log-maxbackup', type: 'count' },
    { default: '10' },
    'How many earlier files of the audit log are kept.',
  ),
  apiServer(
    { name: 'auditLogMaxAge', flag: 'audit-log-maxage', type: 'count' },
    { default: '30' },
    'For how many days earlier files of the audit log are kept.',
  ),
  apiServer(
    {
      name: 'authenticationConfig',
      flag: 'authentication-config',

      type: 'file',
    },
    { default: '', meaning: 'nothing but the cluster itself' },
    'Whose tokens are believed: an AuthenticationConfiguration of apiserver.config.k8s.io/v1.',
  ),
  apiServer(
    {
      name: 'tokenWebhookConfigFile',
      flag: 'authentication-token-webhook-config-file',

      type: 'file',
    },
    { default: '', meaning: 'no other server' },
    'A kubeconfig of the server that is asked about tokens which nobody here knows.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookConfigFile',
      flag: 'authorization-webhook-config-file',

      type: 'file',
    },
    { default: '', meaning: 'no other server' },
    'A kubeconfig of the server that is asked whether a request may be made which nobody here allows.',
  ),
  apiServer(
    {
      name: 'tokenWebhookCacheTtl',
      flag: 'authentication-token-webhook-cache-ttl',

      type: 'duration',
    },
    { default: '2m' },
    'For how long answers about tokens are kept.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookCacheAuthorizedTtl',
      flag: 'authorization-webhook-cache-authorized-ttl',

      type: 'duration',
    },
    { default: '5m' },
    'For how long the answer is kept that a request may be made.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookCacheUnauthorizedTtl',
      flag: 'authorization-webhook-cache-unauthorized-ttl',

      type: 'duration',
    },
    { default: '30s' },
    'For how long the answer is kept that a request may not be made.',
  ),
  apiServer(
    { name: 'authorizationConfig', flag: 'authorization-config', type: 'file' },
    { default: '', meaning: 'Node and RBAC' },
    'In which order Node, RBAC and webhooks are asked: an AuthorizationConfiguration of apiserver.config.k8s.io/v1.',
  ),
  apiServer(
    {
      name: 'admissionControlConfigFile',
      flag: 'admission-control-config-file',

      type: 'file',
    },
    { default: '', meaning: 'as upstream without one' },
    'What admission plugins are configured with: an AdmissionConfiguration of apiserver.config.k8s.io/v1, read at the start.',
  ),
  apiServer(
    {
      name: 'enableAdmissionPlugins',
      flag: 'enable-admission-plugins',

      type: 'admission-plugins',
    },
    { default: '', meaning: 'those that are on by default' },
    'Admission plugins that are on besides, with commas between, such as AlwaysPullImages,PodNodeSelector.',
  ),
  apiServer(
    {
      name: 'disableAdmissionPlugins',
      flag: 'disable-admission-plugins',

      type: 'admission-plugins',
    },
    { default: '', meaning: 'none' },
    'Admission plugins that are off although they are on by default, with commas between.',
  ),
  apiServer(
    { name: 'oidcIssuerUrl', flag: 'oidc-issuer-url', type: 'text' },
    { default: '', meaning: 'no issuer' },
    'The https URL of an OpenID Connect issuer whose tokens are believed.',
  ),
  apiServer(
    { name: 'oidcClientId', flag: 'oidc-client-id', type: 'text' },
    { default: '' },
    'The audience that tokens of the OpenID Connect issuer must name.',
  ),
  apiServer(
    { name: 'oidcUsernameClaim', flag: 'oidc-username-claim', type: 'text' },
    { default: 'sub' },
    'The claim that has the name of the user.',
  ),
  apiServer(
    { name: 'oidcUsernamePrefix', flag: 'oidc-username-prefix', type: 'text' },
    { default: '', meaning: 'the URL of the issuer and "#", or nothing for the claim email' },
    'What stands before names of users; "-" for nothing.',
  ),
  apiServer(
    { name: 'oidcGroupsClaim', flag: 'oidc-groups-claim', type: 'text' },
    { default: '', meaning: 'no groups' },
    'The claim that has the groups of the user.',
  ),
  apiServer(
    { name: 'oidcGroupsPrefix', flag: 'oidc-groups-prefix', type: 'text' },
    { default: '', meaning: 'nothing' },
    'What stands before names of groups.',
  ),
  apiServer(
    { name: 'oidcCaFile', flag: 'oidc-ca-file', type: 'file' },
    { default: '', meaning: 'what this machine trusts' },
    'The authority of the OpenID Connect issuer, PEM.',
  ),
]
