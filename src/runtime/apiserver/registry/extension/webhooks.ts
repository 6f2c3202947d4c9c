/** MutatingWebhookConfiguration and ValidatingWebhookConfiguration: defaults, rules, columns. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1035Label, checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { MutatingWebhookConfiguration } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, setDefault } from '../support.ts'
import { checkSelector } from '../validation/meta.ts'
import { checkConditions, checkRule } from './admission-rules.ts'
import { checkClientConfig } from './webhook-client.ts'

type Webhook = NonNullable<MutatingWebhookConfiguration['webhooks']>[number]

const HTTPS = 443
const TIMEOUT_SECONDS = 10
const TIMEOUT_SECONDS_MAX = 30
const SIDE_EFFECTS = ['None', 'NoneOnDryRun']
/** Of AdmissionReview, those that this server speaks. */
const REVIEW_VERSIONS = ['v1']

function webhooksOf(resource: 'mutatingwebhookconfigurations' | 'validatingwebhookconfigurations'): Strategy {
  return defineKind({
    group: 'admissionregistration.k8s.io',
    resource,
    hasGeneration: true,
    applyDefaults(object) {
      for (const webhook of asKind<MutatingWebhookConfiguration>(object).webhooks ?? []) {
        setDefault(webhook, 'failurePolicy', 'Fail')
        setDefault(webhook, 'matchPolicy', 'Equivalent')
        setDefault(webhook, 'namespaceSelector', {})
        setDefault(webhook, 'objectSelector', {})
        setDefault(webhook, 'timeoutSeconds', TIMEOUT_SECONDS)
        if (resource === 'mutatingwebhookconfigurations') setDefault(webhook, 'reinvocationPolicy', 'Never')
        if (webhook.clientConfig?.service) setDefault(webhook.clientConfig.service, 'port', HTTPS)
        for (const rule of webhook.rules ?? []) rule.scope ??= '*'
      }
    },
    validate: object => problemsOf(asKind<MutatingWebhookConfiguration>(object)),
    table: tableOf<MutatingWebhookConfiguration>(
      [nameColumn, column('Webhooks', 'How many webhooks it has', 'integer'), ageColumn],
      ({ metadata, webhooks }, nowMs) => [
        metadata.name ?? '',
        webhooks?.length ?? 0,
        since(metadata.creationTimestamp, nowMs),
      ],
    ),
  })
}

function problemsOf({ webhooks }: MutatingWebhookConfiguration): readonly FieldError[] {
  const out: FieldError[] = []
  const names = new Set<string>()
  for (const [index, webhook] of (webhooks ?? []).entries()) {
    const field = at('webhooks', index)
    checkWebhook(out, field, webhook)
    if (webhook.name && names.has(webhook.name)) out.push(duplicate(`${field}.name`, webhook.name))
    names.add(webhook.name)
  }
  return out
}

function checkWebhook(out: FieldError[], field: string, webhook: Webhook): void {
  checkName(out, `${field}.name`, webhook.name)
  for (const [index, rule] of (webhook.rules ?? []).entries()) {
    checkRule(out, at(`${field}.rules`, index), rule)
  }
  checkChoices(out, field, webhook)
  const seconds = webhook.timeoutSeconds ?? TIMEOUT_SECONDS
  if (seconds < 1 || seconds > TIMEOUT_SECONDS_MAX) {
    const detail = `the timeout value must be between 1 and ${TIMEOUT_SECONDS_MAX} seconds`
    out.push(invalid(`${field}.timeoutSeconds`, seconds, detail))
  }
  checkSelector(out, `${field}.namespaceSelector`, webhook.namespaceSelector)
  checkSelector(out, `${field}.objectSelector`, webhook.objectSelector)
  checkClientConfig(out, `${field}.clientConfig`, webhook.clientConfig)
  checkConditions(out, `${field}.matchConditions`, webhook.matchConditions ?? [])
  checkReviewVersions(out, `${field}.admissionReviewVersions`, webhook.admissionReviewVersions ?? [])
}

function checkName(out: FieldError[], field: string, name: string | undefined): void {
  if (!name) {
    out.push(required(field))
    return
  }
  const problems = checkDns1123Subdomain(name)
  if (problems.length > 0) out.push(invalid(field, name, problems.join(',')))
  else if (name.split('.').length < 3) {
    out.push(invalid(field, name, 'should be a domain with at least three segments separated by dots'))
  }
}

function checkChoices(out: FieldError[], field: string, webhook: Webhook): void {
  const check = (name: string, value: string | undefined, supported: readonly string[]) => {
    if (value !== undefined && !supported.includes(value)) {
      out.push(notSupported(`${field}.${name}`, value, supported))
    }
  }
  check('failurePolicy', webhook.failurePolicy, ['Fail', 'Ignore'])
  check('matchPolicy', webhook.matchPolicy, ['Equivalent', 'Exact'])
  check('reinvocationPolicy', webhook.reinvocationPolicy, ['IfNeeded', 'Never'])
  if (webhook.sideEffects) check('sideEffects', webhook.sideEffects, SIDE_EFFECTS)
  else out.push(required(`${field}.sideEffects`, `must specify one of ${SIDE_EFFECTS.join(', ')}`))
}

function checkReviewVersions(out: FieldError[], field: string, versions: readonly string[]): void {
  const known = REVIEW_VERSIONS.join(', ')
  if (versions.length === 0) {
    out.push(required(field, `must specify one of ${known}`))
    return
  }
  const seen = new Set<string>()
  for (const [index, version] of versions.entries()) {
    if (seen.has(version)) out.push(invalid(at(field, index), version, 'duplicate version'))
    else {
      for (const problem of checkDns1035Label(version)) out.push(invalid(at(field, index), version, problem))
    }
    seen.add(version)
  }
  if (!versions.some(version => REVIEW_VERSIONS.includes(version))) {
    out.push(invalid(field, versions, `must include at least one of ${known}`))
  }
}

export const mutatingWebhooks: Strategy = webhooksOf('mutatingwebhookconfigurations')
export const validatingWebhooks: Strategy = webhooksOf('validatingwebhookconfigurations')
