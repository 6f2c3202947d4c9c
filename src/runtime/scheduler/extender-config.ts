/** Which extenders a KubeSchedulerConfiguration names, and how they are reached. */
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { parseGoDuration } from '../../kube/time.ts'

export interface ExtenderTls {
  /** The server's certificate is not looked at. */
  readonly isInsecure: boolean
  readonly serverName: string
  readonly caPem: string
  readonly certificatePem: string
  readonly keyPem: string
}

export interface ExtenderConfig {
  readonly urlPrefix: string
  /** '': the extender has nothing to say there. */
  readonly filterVerb: string
  readonly prioritizeVerb: string
  readonly preemptVerb: string
  readonly bindVerb: string
  readonly weight: number
  readonly timeoutMs: number
  /** It knows the nodes, and is told their names only. */
  readonly nodeCacheCapable: boolean
  /** Only pods that ask for one of these are its concern; none: all pods. */
  readonly managedResources: readonly { readonly name: string; readonly isIgnored: boolean }[]
  /** Pods are placed without it when it fails. */
  readonly ignorable: boolean
  /** Null: HTTP. */
  readonly tls: ExtenderTls | null
}

export type ReadFile = (path: string) => string

const KEYS = [
  ...['urlPrefix', 'filterVerb', 'preemptVerb', 'prioritizeVerb', 'bindVerb', 'weight', 'enableHTTPS'],
  ...['tlsConfig', 'httpTimeout', 'nodeCacheCapable', 'managedResources', 'ignorable'],
]
const TLS_KEYS = [
  ...['insecure', 'serverName', 'certFile', 'keyFile', 'caFile', 'certData', 'keyData', 'caData'],
]
const TIMEOUT_MS_DEFAULT = 5_000
const EXTENDED_NAME =
  /^(?!.*kubernetes\.io\/)(?!requests\.)[a-z0-9]([a-z0-9.-]*[a-z0-9])?\/[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/

export function readExtenders(value: unknown, problems: string[], readFile: ReadFile): ExtenderConfig[] {
  const list = Array.isArray(value) ? value : []
  const extenders = list.map((one, at) =>
    readExtender(isMap(one) ? one : {}, `extenders[${at}]`, problems, readFile),
  )
  const binders = extenders.filter(({ bindVerb }) => bindVerb !== '').length
  if (binders > 1)
    problems.push(
      `extenders: Invalid value: "found ${binders} extenders implementing bind": only one extender can implement bind`,
    )
  const names = extenders.flatMap(({ managedResources }) => managedResources.map(({ name }) => name))
  for (const name of new Set(names.filter((each, at) => names.indexOf(each) !== at)))
    problems.push(
      `extenders: Invalid value: ${JSON.stringify(name)}: duplicate extender managed resource name`,
    )
  return extenders
}

function readExtender(map: JsonMap, path: string, problems: string[], readFile: ReadFile): ExtenderConfig {
  for (const key of Object.keys(map)) if (!KEYS.includes(key)) problems.push(`${path}.${key}: unknown field`)
  const { weight = 0, tlsConfig } = map
  const prioritizeVerb = textOf(map, 'prioritizeVerb')
  if (prioritizeVerb !== '' && !(Number.isInteger(weight) && Number(weight) > 0))
    problems.push(
      `${path}.weight: Invalid value: ${JSON.stringify(weight)}: must have a positive weight applied to it`,
    )
  const urlPrefix = textOf(map, 'urlPrefix')
  if (!/^https?:\/\/[^/]/.test(urlPrefix))
    problems.push(
      `${path}.urlPrefix: Invalid value: ${JSON.stringify(urlPrefix)}: must be an HTTP or HTTPS URL`,
    )
  const isSecure = map['enableHTTPS'] === true || urlPrefix.startsWith('https:')
  return {
    urlPrefix,
    filterVerb: textOf(map, 'filterVerb'),
    prioritizeVerb,
    preemptVerb: textOf(map, 'preemptVerb'),
    bindVerb: textOf(map, 'bindVerb'),
    weight: Number(weight),
    timeoutMs: timeoutOf(map['httpTimeout'], `${path}.httpTimeout`, problems),
    nodeCacheCapable: map['nodeCacheCapable'] === true,
    managedResources: readManaged(map['managedResources'], `${path}.managedResources`, problems),
    ignorable: map['ignorable'] === true,
    tls: isSecure
      ? readTls(isMap(tlsConfig) ? tlsConfig : {}, map, `${path}.tlsConfig`, problems, readFile)
      : null,
  }
}

const textOf = (map: JsonMap, key: string): string => (typeof map[key] === 'string' ? map[key] : '')

/** A duration in Go's form; nothing said, or zero, is five seconds. */
function timeoutOf(value: unknown, path: string, problems: string[]): number {
  if (value === undefined || value === null) return TIMEOUT_MS_DEFAULT
  const timeoutMs = parseGoDuration(String(value))
  if (timeoutMs === null)
    problems.push(`${path}: Invalid value: ${JSON.stringify(value)}: must be a duration`)
  return timeoutMs || TIMEOUT_MS_DEFAULT
}

function readManaged(value: unknown, path: string, problems: string[]): ExtenderConfig['managedResources'] {
  return (Array.isArray(value) ? value : []).map((one, at) => {
    const map = isMap(one) ? one : {}
    const name = textOf(map, 'name')
    if (!EXTENDED_NAME.test(name))
      problems.push(
        `${path}[${at}].name: Invalid value: ${JSON.stringify(name)}: is an invalid extended resource name`,
      )
    return { name, isIgnored: map['ignoredByScheduler'] === true }
  })
}

/** As upstream: without an authority, who answers is not asked who he is. */
function readTls(
  tls: JsonMap,
  { enableHTTPS }: JsonMap,
  path: string,
  problems: string[],
  readFile: ReadFile,
): ExtenderTls {
  for (const key of Object.keys(tls))
    if (!TLS_KEYS.includes(key)) problems.push(`${path}.${key}: unknown field`)
  const pem = (data: string, file: string): string => {
    const encoded = textOf(tls, data)
    if (encoded !== '') return Buffer.from(encoded, 'base64').toString('utf8')
    const name = textOf(tls, file)
    return name === '' ? '' : readFile(name)
  }
  const caPem = pem('caData', 'caFile')
  const [certificatePem, keyPem] = [pem('certData', 'certFile'), pem('keyData', 'keyFile')]
  if ((certificatePem === '') !== (keyPem === ''))
    problems.push(`${path}: Invalid value: a certificate and a key belong together`)
  const isInsecure = tls['insecure'] === true || (enableHTTPS === true && caPem === '')
  if (tls['insecure'] === true && caPem !== '')
    problems.push(
      `${path}: Invalid value: specifying a root certificates file with the insecure flag is not allowed`,
    )
  return { isInsecure, serverName: textOf(tls, 'serverName'), caPem, certificatePem, keyPem }
}
