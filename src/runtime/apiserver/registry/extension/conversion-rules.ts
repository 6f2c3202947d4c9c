/** How versions of a custom resource may be converted, in upstream's words. */
import { X509Certificate } from 'node:crypto'
import type { DefinitionConversion } from '../../../../kube/custom-definition.ts'
import { type FieldError, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1035Label } from '../../../../kube/names.ts'
import { at } from '../support.ts'
import { checkOneOf } from '../validation/meta.ts'
import { checkClientConfig } from './webhook-client.ts'

const KNOWN_REVIEWS = ['v1', 'v1beta1']

export function conversionProblems(conversion: DefinitionConversion | undefined, path: string): FieldError[] {
  if (conversion === undefined) return []
  const out: FieldError[] = []
  const { strategy, webhook } = conversion
  if (strategy) checkOneOf(out, `${path}.strategy`, strategy, ['None', 'Webhook'])
  else out.push(required(`${path}.strategy`))
  const client = `${path}.webhookClientConfig`
  const reviews = `${path}.conversionReviewVersions`
  if (strategy === 'Webhook') {
    if (webhook?.clientConfig === undefined) {
      out.push(required(client, 'required when strategy is set to Webhook'))
    } else {
      checkClientConfig(out, client, webhook.clientConfig)
      out.push(...bundleProblems(webhook.clientConfig.caBundle ?? '', `${client}.caBundle`))
    }
    return [...out, ...reviewProblems(webhook?.conversionReviewVersions ?? [], reviews)]
  }
  const detail = 'should not be set when strategy is not set to Webhook'
  if (webhook?.clientConfig !== undefined) out.push(forbidden(client, detail))
  if ((webhook?.conversionReviewVersions ?? []).length > 0) out.push(forbidden(reviews, detail))
  return out
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g
const ROOTS = 'unable to load root certificates'

/** A bundle that no certificate can be read out of would only be found out by the first conversion. */
function bundleProblems(bundle: string, path: string): FieldError[] {
  if (bundle === '') return []
  const certificates = Buffer.from(bundle, 'base64').toString('latin1').match(CERTIFICATE) ?? []
  if (certificates.length === 0) {
    const detail = `${ROOTS}: data does not contain any valid RSA or ECDSA certificates`
    return [invalid(path, bundle, detail)]
  }
  const isReadable = (pem: string): boolean => {
    try {
      new X509Certificate(pem)
      return true
    } catch {
      return false
    }
  }
  return certificates.every(isReadable) ? [] : [invalid(path, bundle, `${ROOTS}: malformed certificate`)]
}

function reviewProblems(versions: readonly string[], path: string): FieldError[] {
  if (versions.length === 0) return [required(path)]
  const out: FieldError[] = []
  for (const [index, version] of versions.entries()) {
    if (versions.indexOf(version) < index) {
      out.push(invalid(at(path, index), version, 'duplicate version'))
      continue
    }
    const problems = checkDns1035Label(version)
    if (problems.length > 0) out.push(invalid(at(path, index), version, problems.join(',')))
  }
  if (out.length === 0 && !versions.some(one => KNOWN_REVIEWS.includes(one))) {
    out.push(invalid(path, versions, `must include at least one of ${KNOWN_REVIEWS.join(', ')}`))
  }
  return out
}
