/**
 * Keeps secrets out of a support bundle, twice: objects lose the fields that hold secrets, and every text loses
 * what looks like one or is the value of a Secret or key that this cluster has. Pure.
 */
import type { KubeObject } from '../../kube/object.ts'

const REDACTED = '(redacted)'
/** Shorter values are words that stand everywhere. */
const KNOWN_CHARS_MIN = 6
/** Whose ConfigMaps' contents are the cluster's own configuration. */
const SYSTEM_NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease']
const TOKEN_TYPE = 'kubernetes.io/service-account-token'
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  // JSON web tokens: two base64url objects and a signature.
  [/\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, REDACTED],
  [/\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // base64 of "-----BEGIN", as in kubeconfigs; certificates go with the keys.
  [/LS0tLS1CRUdJTi[A-Za-z0-9+/=]{40,}/g, REDACTED],
  [
    /((?:password|passwd|token|secret|api[_-]?key)\\?["']?\s*[=:]\s*\\?["']?)[^\s"'\\,;&}]{4,}/gi,
    `$1${REDACTED}`,
  ],
]

/** A function that takes out what looks like a secret, and every one of these values in all their spellings. */
export function createRedactor(secrets: Iterable<string>): (text: string) => string {
  const known = new Set<string>()
  for (const secret of secrets) {
    for (const spelling of spellings(secret)) if (spelling.length >= KNOWN_CHARS_MIN) known.add(spelling)
  }
  // Longest first, so that no part of a longer one stays.
  const ordered = [...known].sort((a, b) => b.length - a.length)
  return text => {
    let out = text
    for (const secret of ordered) out = out.replaceAll(secret, REDACTED)
    for (const [pattern, by] of PATTERNS) out = out.replaceAll(pattern, by)
    return out
  }
}

/** As it is, trimmed, as base64 with and without padding, and each as JSON writes it. */
function spellings(secret: string): string[] {
  const base64 = Buffer.from(secret, 'utf8').toString('base64')
  const plain = [secret, secret.trim(), base64, base64.replaceAll('=', '')]
  return [...plain, ...plain.map(text => JSON.stringify(text).slice(1, -1))]
}

/** The values of a Secret, as text; those of a token's that everybody knows are none. */
export function secretValues(secret: KubeObject): string[] {
  const all = (secret['data'] ?? {}) as Record<string, string>
  const { 'ca.crt': _authority, namespace: _namespace, ...token } = all
  const data = Object.values(secret['type'] === TOKEN_TYPE ? token : all)
  return data.flatMap(value => [value, Buffer.from(value, 'base64').toString('utf8')])
}

/** What of an object goes into the bundle. */
export function redactObject(object: KubeObject): KubeObject {
  const { managedFields: _fields, annotations, ...metadata } = object.metadata
  const { [LAST_APPLIED]: _applied, ...kept } = annotations ?? {}
  const clean = { ...object, metadata: { ...metadata, annotations: kept } }
  switch (object.kind) {
    case 'Secret':
      return { apiVersion: object.apiVersion, kind: object.kind, metadata, ...secretOutline(object) }
    case 'ConfigMap':
      return SYSTEM_NAMESPACES.includes(metadata.namespace ?? '') ? clean : { ...clean, ...outlines(object) }
    default:
      return hideEnvironment(clean) as KubeObject
  }
}

const secretOutline = (secret: KubeObject) => ({ type: secret['type'], ...outlines(secret) })

/** The names of the entries, without what they hold. */
function outlines(object: KubeObject): Record<string, unknown> {
  const outline = (field: string) =>
    Object.fromEntries(Object.keys((object[field] ?? {}) as object).map(key => [key, REDACTED]))
  return { data: outline('data'), binaryData: outline('binaryData') }
}

/** Literal values of environment variables are where people put passwords; names and sources stay. */
function hideEnvironment(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hideEnvironment)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === 'env' && Array.isArray(inner) ? inner.map(hideValue) : hideEnvironment(inner),
    ]),
  )
}

function hideValue(variable: unknown): unknown {
  if (typeof variable !== 'object' || variable === null || !('value' in variable)) return variable
  return { ...variable, value: REDACTED }
}
