/** What annotations of an Ingress say: nginx's names, and the same under `ingress.mk8s.io/`. Pure. */
import { type Cidr, parseCidr } from '../../kube/cidr.ts'
import type { Ingress } from '../../kube/types.ts'
import { compilePattern } from './path-table.ts'
import { type Canary, CONNECT_MS, type Protocol, READ_MS, type ValueMatch } from './route.ts'

const PREFIXES = ['ingress.mk8s.io/', 'nginx.ingress.kubernetes.io/']
const TIMEOUT_SECONDS_MAX = 86_400

export interface IngressSettings {
  readonly isCanary: boolean
  readonly rewriteTarget: string
  readonly usesPatterns: boolean
  readonly sslRedirect: boolean
  readonly forceSslRedirect: boolean
  /** null: what the add-on says. */
  readonly bodyBytesMax: number | null
  readonly connectMs: number
  readonly readMs: number
  readonly sources: readonly Cidr[] | null
  readonly protocol: Protocol
  readonly host: string
}

export function settingsOf({ metadata }: Ingress): IngressSettings {
  const get = (name: string) => annotation(metadata.annotations, name)
  const rewriteTarget = get('rewrite-target')
  return {
    isCanary: get('canary') === 'true',
    rewriteTarget,
    usesPatterns: get('use-regex') === 'true' || rewriteTarget !== '',
    sslRedirect: get('ssl-redirect') !== 'false',
    forceSslRedirect: get('force-ssl-redirect') === 'true',
    bodyBytesMax: bytesOf(get('proxy-body-size')),
    connectMs: secondsOf(get('proxy-connect-timeout')) ?? CONNECT_MS,
    readMs: secondsOf(get('proxy-read-timeout')) ?? READ_MS,
    sources: networksOf(get('whitelist-source-range') || get('allowlist-source-range')),
    protocol: PROTOCOLS[get('backend-protocol').toUpperCase()] ?? 'http',
    host: get('upstream-vhost'),
  }
}

const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  ...{ HTTP: 'http', HTTPS: 'https', GRPC: 'h2c', GRPCS: 'h2' },
}

export function canaryOf({ metadata }: Ingress): Omit<Canary, 'backends'> {
  const get = (name: string) => annotation(metadata.annotations, name)
  const value = get('canary-by-header-value')
  const pattern = get('canary-by-header-pattern')
  return {
    header: get('canary-by-header').toLowerCase(),
    headerValue: value !== '' ? { kind: 'exact', value } : patternMatch(pattern),
    cookie: get('canary-by-cookie'),
    weight: numberOf(get('canary-weight')) ?? 0,
    weightTotal: numberOf(get('canary-weight-total')) || 100,
  }
}

function patternMatch(pattern: string): ValueMatch | null {
  if (pattern === '') return null
  try {
    return { kind: 'pattern', pattern: compilePattern(pattern) }
  } catch {
    return { kind: 'exact', value: pattern }
  }
}

function annotation(annotations: Readonly<Record<string, string>> | undefined, name: string): string {
  for (const prefix of PREFIXES) {
    const value = annotations?.[`${prefix}${name}`]
    if (value !== undefined) return value.trim()
  }
  return ''
}

const numberOf = (text: string): number | null => (/^\d{1,9}$/.test(text) ? Number(text) : null)

function secondsOf(text: string): number | null {
  const seconds = numberOf(text.replace(/s$/, ''))
  return seconds ? Math.min(seconds, TIMEOUT_SECONDS_MAX) * 1_000 : null
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1_024, m: 1_024 ** 2, g: 1_024 ** 3 }

/** As nginx has it: `8m`; 0 is no limit. null for what is no size. */
export function bytesOf(text: string): number | null {
  const match = /^(\d{1,9})([kmg]?)$/i.exec(text)
  return match === null ? null : Number(match[1]) * (UNITS[(match[2] ?? '').toLowerCase()] ?? 1)
}

/** A list with a mistake in it lets in nobody by that item, and never everybody. */
export function networksOf(text: string): readonly Cidr[] | null {
  if (text === '') return null
  const items = text.split(',').map(item => item.trim())
  return items.flatMap(item => parseCidr(item.includes('/') ? item : wholeOf(item)) ?? [])
}

const wholeOf = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`
