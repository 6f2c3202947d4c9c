/**
 * Which networks a pod asks for beside the pod network: the annotations of the Network Plumbing Working Group's
 * specification, in their short form and as JSON (pure).
 */
import { isIP } from 'node:net'
import { Mk8sError } from '../../../base/errors.ts'

export const NETWORKS_ANNOTATION = 'k8s.v1.cni.cncf.io/networks'
export const STATUS_ANNOTATION = 'k8s.v1.cni.cncf.io/network-status'
export const DEFAULT_NETWORK_ANNOTATION = 'v1.multus-cni.io/default-network'

/** One network that a pod is to be attached to. */
export interface NetworkSelection {
  readonly namespace: string
  readonly name: string
  /** Absent: the next of `net1`, `net2`, … */
  readonly interfaceName?: string
  /** By capability: what plugins that declare it are told. */
  readonly runtimeConfig: Readonly<Record<string, unknown>>
  /** Given to every plugin as `args.cni`. */
  readonly cniArgs?: Readonly<Record<string, unknown>>
  /** Gateways by which everything that has no other way leaves the pod; empty: it leaves as before. */
  readonly defaultRoute: readonly string[]
}

const NETWORKS_MAX = 32
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/
/** As the kernel takes it. */
const INTERFACE = /^[^\s/:]{1,15}$/
const TAKEN_INTERFACES = ['lo', 'eth0', '.', '..']
const MAC = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i

const wrong = (what: string) =>
  new Mk8sError('kubelet/runtime', `the annotation ${NETWORKS_ANNOTATION} cannot be used: ${what}`)

/** None for an empty text; throws for one that means nothing, and for interfaces that two networks would share. */
export function parseSelections(text: string, namespace: string): NetworkSelection[] {
  const trimmed = text.trim()
  if (trimmed === '') return []
  const isJson = trimmed.startsWith('[') || trimmed.startsWith('{')
  const found = isJson ? parseList(trimmed, namespace) : parseShort(trimmed, namespace)
  if (found.length > NETWORKS_MAX) throw wrong(`it names more than ${NETWORKS_MAX} networks`)
  const names = found.map(interfaceNameOf)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw wrong(`two networks ask for the interface ${twice}`)
  return found
}

/** Of the network at this place of the list. */
export const interfaceNameOf = ({ interfaceName }: NetworkSelection, at: number): string =>
  interfaceName ?? `net${at + 1}`

/** `namespace/name@interface, name`. */
function parseShort(text: string, namespace: string): NetworkSelection[] {
  return text.split(',').map(item => {
    const words = item.trim()
    const match = /^(?:([^/@]*)\/)?([^/@]*)(?:@([^/@]*))?$/.exec(words)
    if (match === null) throw wrong(`${show(words)} is not of the form namespace/name@interface`)
    const [, ofNamespace = namespace, name = '', interfaceName] = match
    return checked(
      { namespace: ofNamespace, name, interfaceName, runtimeConfig: {}, defaultRoute: [] },
      show(words),
    )
  })
}

function parseList(text: string, namespace: string): NetworkSelection[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw wrong(`it is no JSON: ${(error as Error).message}`)
  }
  if (!Array.isArray(parsed)) throw wrong('it has to be a list')
  return parsed.map(item => parseItem(item, namespace))
}

function parseItem(item: unknown, ofPod: string): NetworkSelection {
  if (!isMap(item)) throw wrong(`${show(item)} has to be a map with a name`)
  const { namespace = ofPod, name = '', interface: interfaceName, mac, ips, bandwidth } = item
  const { 'default-route': defaultRoute = [], 'cni-args': cniArgs, portMappings } = item
  const { 'infiniband-guid': infinibandGUID } = item
  const at = show(name)
  if (ips !== undefined && !isListOf(ips, isAddress)) throw wrong(`ips of ${at} have to be addresses`)
  if (!isListOf(defaultRoute, text => isIP(text) !== 0))
    throw wrong(`default-route of ${at} has to be a list of addresses`)
  if (mac !== undefined && !(typeof mac === 'string' && MAC.test(mac)))
    throw wrong(`mac of ${at} is no MAC address: ${show(mac)}`)
  if (cniArgs !== undefined && !isMap(cniArgs)) throw wrong(`cni-args of ${at} have to be a map`)
  const wishes = { ips, mac, portMappings, bandwidth, infinibandGUID }
  const given = Object.entries(wishes).filter(([, value]) => value !== undefined && value !== '')
  return checked(
    {
      ...{ namespace, name, interfaceName, defaultRoute },
      runtimeConfig: Object.fromEntries(given),
      ...(cniArgs === undefined ? {} : { cniArgs }),
    },
    at,
  )
}

type Unchecked = Omit<NetworkSelection, 'namespace' | 'name' | 'interfaceName'> &
  Readonly<Record<'namespace' | 'name' | 'interfaceName', unknown>>

function checked({ namespace, name, interfaceName, ...rest }: Unchecked, words: string): NetworkSelection {
  if (typeof namespace !== 'string' || !NAME.test(namespace)) throw wrong(`${words} has no usable namespace`)
  if (typeof name !== 'string' || !NAME.test(name)) throw wrong(`${words} has no usable name`)
  if (interfaceName === undefined) return { namespace, name, ...rest }
  if (typeof interfaceName !== 'string' || !INTERFACE.test(interfaceName))
    throw wrong(`${show(interfaceName)} cannot be the name of an interface`)
  if (TAKEN_INTERFACES.includes(interfaceName)) throw wrong(`the interface ${interfaceName} is taken`)
  return { namespace, name, interfaceName, ...rest }
}

const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing'

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isListOf = (value: unknown, is: (text: string) => boolean): value is readonly string[] =>
  Array.isArray(value) && value.every(each => typeof each === 'string' && is(each))

/** With or without the length of its prefix. */
function isAddress(text: string): boolean {
  const [address = '', length, ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0) return false
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128))
}
