/**
 * Registries of images as a cluster has them configured (pure): mirrors, certificates, credentials, in the form of
 * K3s' registries.yaml. ConfigMap `kube-system/mk8s-registries` and the Secret of the same name hold such documents,
 * each under the name of whoever owns it.
 */
import { messageOf } from '../../base/errors.ts'
import { parseYaml, renderYaml } from '../yaml.ts'
import {
  type HostDocument,
  type MirrorDocument,
  type RegistriesDocument,
  registriesProblems,
} from './registries-document.ts'

export type { HostDocument, MirrorDocument, RegistriesDocument } from './registries-document.ts'
export { registriesProblems } from './registries-document.ts'

export const REGISTRIES_NAME = 'mk8s-registries'
export const REGISTRIES_NAMESPACE = 'kube-system'
/** What people say with `mk8s registry`; it counts before what others have entered. */
export const PEOPLE = 'registries'

export interface RegistryTls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly insecureSkipVerify: boolean
}

export interface HostSettings {
  readonly login?: { readonly username: string; readonly password: string } | undefined
  readonly tls: RegistryTls
}

/** Where an image can be got: the first that has it is taken. */
export interface RegistryEndpoint {
  /** What stands before `/<repository>/manifests/…`: `https://registry.example/v2`. */
  readonly base: string
  readonly repository: string
  /** By which its certificates and credentials are found. */
  readonly host: string
  readonly settings: HostSettings
}

export interface Registries {
  readonly mirrors: ReadonlyMap<string, MirrorDocument>
  readonly hosts: ReadonlyMap<string, HostDocument>
}

export const NO_REGISTRIES: Registries = { mirrors: new Map(), hosts: new Map() }

type Data = Readonly<Record<string, string>>

/** What is wrong in one owner's document leaves that document out, and is told. */
export function mergeRegistries(
  config: Data,
  secret: Data,
): { readonly registries: Registries; readonly problems: readonly string[] } {
  const mirrors = new Map<string, MirrorDocument>()
  const hosts = new Map<string, HostDocument>()
  const problems: string[] = []
  const read = (kind: string, key: string, text: string) => {
    const { document, problems: found } = readDocument(text)
    problems.push(...found.map(why => `${kind} ${REGISTRIES_NAMESPACE}/${REGISTRIES_NAME}: ${key}: ${why}`))
    return document
  }
  for (const key of ownersFirst([...Object.keys(config), ...Object.keys(secret)])) {
    const document = read('ConfigMap', key, config[key] ?? '')
    const secrets = read('Secret', key, secret[key] ?? '')
    for (const [host, mirror] of Object.entries(document.mirrors ?? {})) mirrors.set(host, mirror)
    const named = new Set([...Object.keys(document.configs ?? {}), ...Object.keys(secrets.configs ?? {})])
    for (const host of named) {
      const open = document.configs?.[host]
      const hidden = secrets.configs?.[host]
      hosts.set(host, { ...open, ...hidden, tls: { ...open?.tls, ...hidden?.tls } })
    }
  }
  return { registries: { mirrors, hosts }, problems }
}

/** People come last, so that they have the last word. */
function ownersFirst(keys: readonly string[]): string[] {
  const people = `${PEOPLE}.yaml`
  const others = [...new Set(keys)].filter(key => key !== people && key.endsWith('.yaml')).sort()
  return keys.includes(people) ? [...others, people] : others
}

export function readDocument(text: string): {
  readonly document: RegistriesDocument
  readonly problems: readonly string[]
} {
  try {
    const value = parseYaml(text) ?? {}
    const problems = registriesProblems(value)
    return { document: problems.length === 0 ? (value as RegistriesDocument) : {}, problems }
  } catch (error) {
    return { document: {}, problems: [`it is no YAML: ${messageOf(error).split('\n')[0]}`] }
  }
}

/** What may be read by everybody, and what goes into the Secret; empty texts where there is nothing to say. */
export function divideDocument({ mirrors = {}, configs = {} }: RegistriesDocument): {
  readonly open: string
  readonly hidden: string
} {
  const openConfigs: Record<string, HostDocument> = {}
  const hiddenConfigs: Record<string, HostDocument> = {}
  for (const [host, { auth, tls }] of Object.entries(configs)) {
    const { key, ...rest } = tls ?? {}
    if (Object.keys(rest).length > 0) openConfigs[host] = { tls: rest }
    if (auth !== undefined || key !== undefined) {
      hiddenConfigs[host] = { ...(auth && { auth }), ...(key !== undefined && { tls: { key } }) }
    }
  }
  return {
    open: textOf({ mirrors, configs: openConfigs }),
    hidden: textOf({ configs: hiddenConfigs }),
  }
}

function textOf(document: RegistriesDocument): string {
  const parts = Object.entries(document).filter(([, part]) => Object.keys(part ?? {}).length > 0)
  return parts.length === 0 ? '' : renderYaml(Object.fromEntries(parts))
}

/** The one document that both halves of an owner make. */
export function joinDocuments(open: string, hidden: string): RegistriesDocument {
  const { registries } = mergeRegistries({ 'x.yaml': open }, { 'x.yaml': hidden })
  return { mirrors: Object.fromEntries(registries.mirrors), configs: Object.fromEntries(registries.hosts) }
}

/** Its mirrors in their order, and the registry itself at the end. `ownBase` is where it is when nothing else is said. */
export function endpointsOf(
  registries: Registries,
  image: { readonly registry: string; readonly repository: string; readonly ownBase: string },
): RegistryEndpoint[] {
  const { registry, repository, ownBase } = image
  const { mirrors } = registries
  const mirror = mirrors.get(registry) ?? mirrors.get('*')
  const rewritten = rewrite(repository, mirror?.rewrite ?? {})
  const asked = (mirror?.endpoint ?? []).map(text => {
    const url = new URL(text.includes('://') ? text : `https://${text}`)
    // Rewriting is for mirrors; the registry itself knows its images by their own names.
    return {
      base: baseOf(url),
      repository: rewritten,
      host: url.host,
      settings: settingsOf(registries, url.host),
    }
  })
  const own = { base: ownBase, repository, host: registry, settings: settingsOf(registries, registry) }
  return asked.some(({ base, repository: at }) => base === own.base && at === repository)
    ? asked
    : [...asked, own]
}

/** A path takes the place of `/v2`, as in K3s. */
function baseOf({ origin, pathname }: URL): string {
  const path = pathname.replace(/\/+$/, '')
  return `${origin}${path === '' ? '/v2' : path}`
}

function rewrite(repository: string, rules: Readonly<Record<string, string>>): string {
  for (const [pattern, replacement] of Object.entries(rules)) {
    const expression = new RegExp(pattern)
    if (expression.test(repository)) return repository.replace(expression, replacement)
  }
  return repository
}

/** Certificates and credentials of one host. */
export function settingsOf({ hosts }: Registries, name: string): HostSettings {
  const host = hosts.get(name) ?? hosts.get('*')
  const { ca, cert, key, insecure_skip_verify: insecure = false } = host?.tls ?? {}
  const login = loginOf(host?.auth)
  return { ...(login && { login }), tls: { ca, cert, key, insecureSkipVerify: insecure } }
}

function loginOf(auth: HostDocument['auth']): HostSettings['login'] {
  if (auth?.username !== undefined) return { username: auth.username, password: auth.password ?? '' }
  if (auth?.auth === undefined) return undefined
  const text = Buffer.from(auth.auth, 'base64').toString('utf8')
  const at = text.indexOf(':')
  return { username: text.slice(0, at), password: text.slice(at + 1) }
}
