/** Options of this node's API server. */
import type { OptionInfo, OptionType } from './option-info.ts'

/** Under the names that kube-apiserver has for them. */
const apiServer = (
  { name, flag, env, type }: { name: string; flag: string; env: string; type: OptionType },
  value: { readonly default: string; readonly meaning?: string },
  help: string,
): OptionInfo => ({
  key: `apiServer.${name}`,
  kind: 'NodeConfig',
  flag,
  env: `MK8S_${env}`,
  type,
  default: value.default,
  ...(value.meaning !== undefined && { defaultMeaning: value.meaning }),
  help,
})

export const apiServerOptions: readonly OptionInfo[] = [
  apiServer(
    { name: 'auditPolicyFile', flag: 'audit-policy-file', env: 'AUDIT_POLICY_FILE', type: 'file' },
    { default: '', meaning: 'no audit log' },
    'What the API server writes to its audit log, `audit/audit.log` in the data directory: a Policy of audit.k8s.io/v1.',
  ),
  apiServer(
    { name: 'auditLogMaxSize', flag: 'audit-log-maxsize', env: 'AUDIT_LOG_MAXSIZE', type: 'count' },
    { default: '100' },
    'The size in MiB at which a new file of the audit log is begun.',
  ),
  apiServer(
    { name: 'auditLogMaxBackup', flag: 'audit-log-maxbackup', env: 'AUDIT_LOG_MAXBACKUP', type: 'count' },
    { default: '10' },
    'How many earlier files of the audit log are kept.',
  ),
  apiServer(
    { name: 'auditLogMaxAge', flag: 'audit-log-maxage', env: 'AUDIT_LOG_MAXAGE', type: 'count' },
    { default: '30' },
    'For how many days earlier files of the audit log are kept.',
  ),
  apiServer(
    {
      name: 'authenticationConfig',
      flag: 'authentication-config',
      env: 'AUTHENTICATION_CONFIG',
      type: 'file',
    },
    { default: '', meaning: 'nothing but the cluster itself' },
    'Whose tokens are believed: an AuthenticationConfiguration of apiserver.config.k8s.io/v1.',
  ),
  apiServer(
    {
      name: 'tokenWebhookConfigFile',
      flag: 'authentication-token-webhook-config-file',
      env: 'AUTHENTICATION_TOKEN_WEBHOOK_CONFIG_FILE',
      type: 'file',
    },
    { default: '', meaning: 'no other server' },
    'A kubeconfig of the server that is asked about tokens which nobody here knows.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookConfigFile',
      flag: 'authorization-webhook-config-file',
      env: 'AUTHORIZATION_WEBHOOK_CONFIG_FILE',
      type: 'file',
    },
    { default: '', meaning: 'no other server' },
    'A kubeconfig of the server that is asked whether a request may be made which nobody here allows.',
  ),
  apiServer(
    {
      name: 'tokenWebhookCacheTtl',
      flag: 'authentication-token-webhook-cache-ttl',
      env: 'AUTHENTICATION_TOKEN_WEBHOOK_CACHE_TTL',
      type: 'duration',
    },
    { default: '2m' },
    'For how long answers about tokens are kept.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookCacheAuthorizedTtl',
      flag: 'authorization-webhook-cache-authorized-ttl',
      env: 'AUTHORIZATION_WEBHOOK_CACHE_AUTHORIZED_TTL',
      type: 'duration',
    },
    { default: '5m' },
    'For how long the answer is kept that a request may be made.',
  ),
  apiServer(
    {
      name: 'authorizationWebhookCacheUnauthorizedTtl',
      flag: 'authorization-webhook-cache-unauthorized-ttl',
      env: 'AUTHORIZATION_WEBHOOK_CACHE_UNAUTHORIZED_TTL',
      type: 'duration',
    },
    { default: '30s' },
    'For how long the answer is kept that a request may not be made.',
  ),
  apiServer(
    { name: 'authorizationConfig', flag: 'authorization-config', env: 'AUTHORIZATION_CONFIG', type: 'file' },
    { default: '', meaning: 'Node and RBAC' },
    'In which order Node, RBAC and webhooks are asked: an AuthorizationConfiguration of apiserver.config.k8s.io/v1.',
  ),
  apiServer(
    {
      name: 'admissionControlConfigFile',
      flag: 'admission-control-config-file',
      env: 'ADMISSION_CONTROL_CONFIG_FILE',
      type: 'file',
    },
    { default: '', meaning: 'as upstream without one' },
    'What admission plugins are configured with: an AdmissionConfiguration of apiserver.config.k8s.io/v1, read at the start.',
  ),
  apiServer(
    {
      name: 'enableAdmissionPlugins',
      flag: 'enable-admission-plugins',
      env: 'ENABLE_ADMISSION_PLUGINS',
      type: 'admission-plugins',
    },
    { default: '', meaning: 'those that are on by default' },
    'Admission plugins that are on besides, with commas between, such as AlwaysPullImages,PodNodeSelector.',
  ),
  apiServer(
    {
      name: 'disableAdmissionPlugins',
      flag: 'disable-admission-plugins',
      env: 'DISABLE_ADMISSION_PLUGINS',
      type: 'admission-plugins',
    },
    { default: '', meaning: 'none' },
    'Admission plugins that are off although they are on by default, with commas between.',
  ),
  apiServer(
    { name: 'oidcIssuerUrl', flag: 'oidc-issuer-url', env: 'OIDC_ISSUER_URL', type: 'text' },
    { default: '', meaning: 'no issuer' },
    'The https URL of an OpenID Connect issuer whose tokens are believed.',
  ),
  apiServer(
    { name: 'oidcClientId', flag: 'oidc-client-id', env: 'OIDC_CLIENT_ID', type: 'text' },
    { default: '' },
    'The audience that tokens of the OpenID Connect issuer must name.',
  ),
  apiServer(
    { name: 'oidcUsernameClaim', flag: 'oidc-username-claim', env: 'OIDC_USERNAME_CLAIM', type: 'text' },
    { default: 'sub' },
    'The claim that has the name of the user.',
  ),
  apiServer(
    { name: 'oidcUsernamePrefix', flag: 'oidc-username-prefix', env: 'OIDC_USERNAME_PREFIX', type: 'text' },
    { default: '', meaning: 'the URL of the issuer and "#", or nothing for the claim email' },
    'What stands before names of users; "-" for nothing.',
  ),
  apiServer(
    { name: 'oidcGroupsClaim', flag: 'oidc-groups-claim', env: 'OIDC_GROUPS_CLAIM', type: 'text' },
    { default: '', meaning: 'no groups' },
    'The claim that has the groups of the user.',
  ),
  apiServer(
    { name: 'oidcGroupsPrefix', flag: 'oidc-groups-prefix', env: 'OIDC_GROUPS_PREFIX', type: 'text' },
    { default: '', meaning: 'nothing' },
    'What stands before names of groups.',
  ),
  apiServer(
    { name: 'oidcCaFile', flag: 'oidc-ca-file', env: 'OIDC_CA_FILE', type: 'file' },
    { default: '', meaning: 'what this machine trusts' },
    'The authority of the OpenID Connect issuer, PEM.',
  ),
]
