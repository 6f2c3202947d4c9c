/** Checks the text of one option's value. Pure; a problem is a clause that stands behind the option's name. */
import { isIP } from 'node:net'
import { unreachable } from '../base/assert.ts'
import { nearest } from '../base/nearest.ts'
import { formatCidr, parseCidr as parseAnyCidr } from '../kube/cidr.ts'
import { parseQuantity } from '../kube/quantity.ts'
import { parseGoDuration } from '../kube/time.ts'
import { admissionPluginsProblem } from './admission-plugins.ts'
import { choices } from './choices.ts'
import type { OptionType } from './option-info.ts'

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const POD_PREFIX_MIN = 8
const SERVICE_PREFIX_MAX = 30

/** Undefined when the text is a value of that type. */
export function problemWith(type: OptionType, text: string): string | undefined {
  switch (type) {
    case 'address':
      return addressProblem(text)
    case 'cidr':
      return cidrProblem(text)
    case 'domain':
      return domainProblem(text)
    case 'failure-domain':
      return failureDomainProblem(text)
    case 'etcd-listen':
      return etcdListenProblem(text)
    case 'node-name':
      return nodeNameProblem(text)
    case 'path':
      return text.startsWith('/') ? undefined : `${quote(text)} is not an absolute path`
    case 'file':
      return /^(\/|$)/.test(text) ? undefined : `${quote(text)} is not an absolute path`
    case 'text':
      return undefined
    case 'admission-plugins':
      return admissionPluginsProblem(text)
    case 'any-count':
      return text === '' ? undefined : problemWith('count', text)
    case 'count':
      return /^[1-9][0-9]{0,5}$/.test(text) ? undefined : `${quote(text)} is not a whole number above 0`
    case 'seconds':
      return /^[0-9]{1,6}$/.test(text) ? undefined : `${quote(text)} is not a whole number of seconds`
    case 'duration':
      return (parseGoDuration(text) ?? -1) >= 0
        ? undefined
        : `${quote(text)} is not a duration, such as 30s or 5m`
    case 'priority-times':
      return priorityTimesProblem(text)
    case 'thresholds':
      return signalsProblem(text, '<', AMOUNT, 'memory.available<100Mi,nodefs.available<10%')
    case 'signal-times':
      return signalsProblem(text, '=', DURATION, 'memory.available=1m30s')
    case 'signal-amounts':
      return signalsProblem(text, '=', AMOUNT, 'nodefs.available=500Mi')
    case 'cpu-list':
      return /^(\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*)?$/.test(text)
        ? undefined
        : `${quote(text)} is not a list of processors, such as 0-1,4`
    case 'quantities':
      return quantitiesProblem(text)
    case 'port':
      return isPort(text) ? undefined : `${quote(text)} is not a port: a whole number from 1 to 65535`
    case 'port-range':
      return portRangeProblem(text)
    case 'socket':
      return /^(unix:\/\/)?\/|^$/.test(text) ? undefined : `${quote(text)} is not a unix socket: unix:///path`
    case 'runtime':
    case 'log-level':
    case 'failover':
    case 'voters':
    case 'image-verification':
    case 'cpu-policy':
      return choiceProblem(text, choices[type])
    default:
      return unreachable(type)
  }
}

const SIGNAL = /^(memory\.available|(nodefs|imagefs)\.(available|inodesFree)|pid\.available)$/
const AMOUNT = /^(\d+(\.\d+)?%|\d+(\.\d+)?([KMGTPE]i|[kMGTPE])?)$/
const DURATION = /^(\d+(\.\d+)?(h|m|s|ms))+$/

/** What a node has to have left, by upstream's names of it. */
function signalsProblem(text: string, sign: string, value: RegExp, example: string): string | undefined {
  const isGood = (pair: string) => {
    const [signal = '', amount = '', rest] = pair.split(sign).map(word => word.trim())
    return SIGNAL.test(signal) && value.test(amount) && rest === undefined
  }
  if (text === '' || text.split(',').every(isGood)) return undefined
  return `${quote(text)} is not a list such as ${example}`
}

function priorityTimesProblem(text: string): string | undefined {
  const isPair = (pair: string) => {
    const [, time = ''] = /^-?\d{1,10}=(\S+)$/.exec(pair.trim()) ?? []
    return (parseGoDuration(time) ?? -1) >= 0
  }
  if (text === '' || text.split(',').every(isPair)) return undefined
  return `${quote(text)} is not a list of priorities and times, such as 0=20s,2000000000=10s`
}

function quantitiesProblem(text: string): string | undefined {
  const isPair = (pair: string) => {
    const [, amount] = /^(?:cpu|memory|ephemeral-storage)=(\d.*)$/.exec(pair.trim()) ?? []
    try {
      return amount !== undefined && parseQuantity(amount).nano >= 0n
    } catch {
      return false
    }
  }
  if (text === '' || text.split(',').every(isPair)) return undefined
  return `${quote(text)} is not a list of amounts, such as cpu=200m,memory=512Mi,ephemeral-storage=1Gi`
}

const failureDomainProblem = (text: string): string | undefined =>
  /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/.test(text)
    ? undefined
    : `${quote(text)} is not a failure domain: up to 63 letters, digits, "-", "_" and "."`

const quote = (text: string): string => JSON.stringify(text)

const isPort = (text: string): boolean => /^[1-9][0-9]{0,4}$/.test(text) && Number(text) <= 65535

function addressProblem(text: string): string | undefined {
  if (isIP(text) === 0) return `${quote(text)} is not an IP address`
  if (/^(0\.0\.0\.0|[:0]+)$/.test(text))
    return `${quote(text)} means every address; name the one that this node is known by`
  return undefined
}

/** Where this machine itself reaches a server of the node: at its bind address if that is a loopback one. */
export function loopbackAddress(bindAddress: string): string {
  return bindAddress.startsWith('127.') || bindAddress === '::1' ? bindAddress : '127.0.0.1'
}

function choiceProblem(text: string, known: readonly string[]): string | undefined {
  if (known.includes(text)) return undefined
  const meant = nearest(text, known)
  return `${quote(text)} is none of ${known.join(', ')}${meant ? `; did you mean ${meant}?` : ''}`
}

function domainProblem(text: string): string | undefined {
  const good = text.length <= 253 && text.split('.').every(label => LABEL.test(label))
  return good ? undefined : `${quote(text)} is not a DNS domain in lower case`
}

function etcdListenProblem(text: string): string | undefined {
  if (text === 'off' || text === 'unix' || parseHostPort(text) !== undefined) return undefined
  return `${quote(text)} is none of off, unix, and an address with a port such as 127.0.0.1:2379`
}

/** An IP address (IPv6 in brackets) and a port. */
export function parseHostPort(text: string): { host: string; port: number } | undefined {
  const [, host = '', port = ''] = /^(.*):([0-9]+)$/.exec(text) ?? []
  const address = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const family = address === host ? 4 : 6
  return isIP(address) === family && isPort(port) ? { host: address, port: Number(port) } : undefined
}

export function nodeNameProblem(text: string): string | undefined {
  if (LABEL.test(text)) return undefined
  const better = suggestNodeName(text)
  const hint = better === undefined ? '' : `; ${quote(better)} would do`
  return `${quote(text)} is not a node name: at most 63 lower-case letters, digits and "-"${hint}`
}

/** The nearest valid node name to a hostname, if one is left of it. */
export function suggestNodeName(hostname: string): string | undefined {
  const name = hostname
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '')
  return LABEL.test(name) ? name : undefined
}

function portRangeProblem(text: string): string | undefined {
  const range = parsePortRange(text)
  if (range === undefined) return `${quote(text)} is not a range of ports such as 30000-32767`
  return range.first <= range.last ? undefined : `${quote(text)} ends before it begins`
}

export function parsePortRange(text: string): { first: number; last: number } | undefined {
  const [first = '', last = '', rest] = text.split('-')
  if (rest !== undefined || !isPort(first) || !isPort(last)) return undefined
  return { first: Number(first), last: Number(last) }
}

export interface Cidr {
  /** The network's first address as a number. */
  readonly base: number
  readonly prefix: number
}

/** An IPv4 network whose host bits are zero. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length = '', rest] = text.split('/')
  if (rest !== undefined || isIP(address) !== 4 || !/^([0-9]|[12][0-9]|3[0-2])$/.test(length))
    return undefined
  const prefix = Number(length)
  const base = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  return base % 2 ** (32 - prefix) === 0 ? { base, prefix } : undefined
}

/** One network of either family, or one of each with a comma between them: the first family first. */
function cidrProblem(text: string): string | undefined {
  const networks = text.split(',')
  const sixes = networks.filter(network => network.includes(':'))
  if (networks.length - sixes.length > 1 || sixes.length > 1)
    return `${quote(text)} is more than one network of IPv4 and one of IPv6`
  for (const network of networks) {
    const problem = network.includes(':') ? ipv6Problem(network) : ipv4Problem(network)
    if (problem !== undefined) return problem
  }
  return undefined
}

function ipv6Problem(text: string): string | undefined {
  const cidr = parseAnyCidr(text)
  if (cidr?.family !== 6 || formatCidr(cidr) !== text)
    return `${quote(text)} is not an IPv6 network in its one spelling, such as fd00:10:1::/48`
  return undefined
}

function ipv4Problem(text: string): string | undefined {
  const cidr = parseCidr(text)
  if (cidr === undefined)
    return `${quote(text)} is not an IPv4 network such as 10.1.0.0/16, with its host bits zero`
  if (cidr.prefix < POD_PREFIX_MIN || cidr.prefix > SERVICE_PREFIX_MAX) {
    return `${quote(text)} is too ${cidr.prefix < POD_PREFIX_MIN ? 'large' : 'small'}: /${POD_PREFIX_MIN} to /${SERVICE_PREFIX_MAX}`
  }
  return undefined
}

export function overlap(a: Cidr, b: Cidr): boolean {
  const size = 2 ** (32 - Math.min(a.prefix, b.prefix))
  return Math.floor(a.base / size) === Math.floor(b.base / size)
}

/** Where the process runtime answers for a network: the same network with its first octet replaced by 127. */
export const mirrorCidr = (cidr: Cidr): Cidr => ({
  base: (cidr.base % 2 ** 24) + 127 * 2 ** 24,
  prefix: cidr.prefix,
})
