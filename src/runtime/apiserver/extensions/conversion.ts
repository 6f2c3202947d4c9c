/** Conversion between versions of a custom resource: the version is rewritten, or a webhook is asked. */
import { must } from '../../../base/assert.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import type { CustomDefinition, DefinitionConversion } from '../../../kube/custom-definition.ts'
import { isMap } from '../../../kube/json-map.ts'
import { validateAnnotations, validateLabels } from '../../../kube/metadata-validation.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { StatusError } from '../../../kube/status.ts'
import type { WebhookCaller } from '../webhooks/caller.ts'
import type { Converter } from './version-codec.ts'

/** As long as upstream waits. */
const TIMEOUT_MS = 30_000
const REVIEW_VERSION = 'apiextensions.k8s.io/v1'
const REVIEW_KIND = 'ConversionReview'

export interface ConversionParts {
  /** Absent: this server calls nobody. */
  readonly webhooks: WebhookCaller | undefined
  readonly random: Pick<Random, 'uuid'>
}

export function converterOf(definition: CustomDefinition, parts: ConversionParts): Converter {
  const { conversion } = definition.spec
  return {
    asksWebhook: conversion?.strategy === 'Webhook',
    convert(objects, apiVersion) {
      if (objects.every(one => one.apiVersion === apiVersion)) return objects
      if (conversion?.strategy !== 'Webhook') return objects.map(one => ({ ...one, apiVersion }))
      return convertByWebhook(conversion, parts, objects, apiVersion)
    },
  }
}

async function convertByWebhook(
  conversion: DefinitionConversion,
  { webhooks, random }: ConversionParts,
  objects: readonly KubeObject[],
  apiVersion: string,
): Promise<readonly KubeObject[]> {
  const wanted = objects.filter(one => one.apiVersion !== apiVersion)
  const what = kindText(must(wanted[0], 'something to convert'))
  const uid = random.uuid()
  const clientConfig = conversion.webhook?.clientConfig ?? {}
  let answer: unknown
  try {
    if (webhooks === undefined) throw new Error('this server calls no webhooks')
    const request = { uid, desiredAPIVersion: apiVersion, objects: wanted }
    const body = { kind: REVIEW_KIND, apiVersion: REVIEW_VERSION, request }
    answer = await webhooks.post({ clientConfig, body, timeoutMs: TIMEOUT_MS })
  } catch (error) {
    throw failure(`conversion webhook for ${what} failed: ${messageOf(error)}`)
  }
  const converted = objectsOf(answer, uid, what)
  if (converted.length !== wanted.length) {
    throw failure(
      `conversion webhook for ${what} returned ${converted.length} objects, expected ${wanted.length}`,
    )
  }
  const made = new Map(wanted.map((one, index) => [one, accept(one, converted[index], apiVersion, what)]))
  return objects.map(one => made.get(one) ?? one)
}

function kindText({ apiVersion, kind }: KubeObject): string {
  return `${apiVersion}, Kind=${kind}`
}

const failure = (message: string): StatusError =>
  new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })

interface ReviewResponse {
  readonly uid?: string
  readonly result?: { readonly status?: string; readonly message?: string }
  readonly convertedObjects?: readonly unknown[]
}

function objectsOf(answer: unknown, uid: string, what: string): readonly unknown[] {
  const fail = (why: string) => failure(`conversion webhook for ${what} failed: ${why}`)
  const review = isMap(answer) ? answer : {}
  const { apiVersion, kind } = review
  if (apiVersion !== REVIEW_VERSION || kind !== REVIEW_KIND) {
    const got = `${String(apiVersion ?? '')}, Kind=${String(kind ?? '')}`
    throw fail(`expected webhook response of ${REVIEW_VERSION}, Kind=${REVIEW_KIND}, got ${got}`)
  }
  if (!isMap(review['response'])) throw fail('no response provided')
  const response = review['response'] as ReviewResponse
  if (response.uid !== uid) throw fail(`expected response.uid="${uid}", got "${response.uid ?? ''}"`)
  const { status = '', message = '' } = response.result ?? {}
  if (status !== 'Success') throw fail(message || `response.result.status was '${status}', not 'Success'`)
  return Array.isArray(response.convertedObjects) ? response.convertedObjects : []
}

/** The converted object, whose identity is the original's. Throws for what a conversion must not change. */
function accept(original: KubeObject, value: unknown, apiVersion: string, what: string): KubeObject {
  const fail = (why: string) => failure(`conversion webhook for ${what} returned invalid ${why}`)
  if (!isMap(value)) throw fail('converted object: it is not an object')
  const converted = value as KubeObject
  if (converted.apiVersion !== apiVersion) {
    const got = String(converted.apiVersion ?? '')
    throw fail(`converted object: invalid groupVersion (expected ${apiVersion}, received ${got})`)
  }
  if (converted.kind !== original.kind) {
    const got = String(converted.kind ?? '')
    throw fail(`converted object: invalid kind (expected ${original.kind}, received ${got})`)
  }
  const isWithMetadata: boolean = isMap(converted.metadata)
  if (!isWithMetadata) throw fail('metadata: missing metadata in converted object')
  for (const [field, name] of IDENTITY) {
    const before = original.metadata[field] ?? ''
    const after = converted.metadata[field] ?? ''
    if (before !== after) throw fail(`metadata: must have the same ${name}: ${before} != ${after}`)
  }
  const { labels, annotations } = converted.metadata
  const [problem] = [...validateLabels(labels, 'labels'), ...validateAnnotations(annotations, 'annotations')]
  if (problem !== undefined) {
    throw fail(`metadata: invalid metadata.${problem.field} in converted object: ${problem.message}`)
  }
  const { labels: _l, annotations: _a, ...kept } = original.metadata
  const metadata = {
    ...kept,
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  }
  return { ...converted, metadata }
}

const IDENTITY = [
  ['name', 'name'],
  ['namespace', 'namespace'],
  ['uid', 'UID'],
] as const
