/** Warnings that several kinds share: labels of nodes that nobody sets any more, odd quantities, addresses, names. */
import { canonicalAddress, formatCidr, parseAddress, parseCidr } from '../../../../kube/cidr.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import { canonicalQuantity, milliValue, parseQuantity, QuantityError } from '../../../../kube/quantity.ts'

type ResourceList = Readonly<Record<string, string | number>>

const REPLACED: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region':
    'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone':
    'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type':
    'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}

/** Undefined for a label that is fine. */
export const replacedLabel = (key: string): string | undefined =>
  Object.hasOwn(REPLACED, key) ? REPLACED[key] : undefined

/** `nodeSelector` of pods and runtime classes. */
export function nodeSelectorWarnings(
  field: string,
  selector: Readonly<Record<string, string>> | undefined,
): string[] {
  return Object.keys(selector ?? {}).flatMap(key => {
    const message = replacedLabel(key)
    return message === undefined ? [] : [`${field}[${key}]: ${message}`]
  })
}

/** Of one term of a node affinity, or of a storage class's topologies. */
export function termWarnings(
  field: string,
  expressions: readonly { readonly key?: string }[] | undefined,
): string[] {
  return (expressions ?? []).flatMap(({ key = '' }, at) => {
    const message = replacedLabel(key)
    return message === undefined ? [] : [`${field}[${at}].key: ${key} is ${message}`]
  })
}

const MAY_BE_FRACTIONAL = /[.mnu]|[eE]-/

export function fractionWarnings(
  field: string,
  list: ResourceList | undefined,
  names: readonly string[],
): string[] {
  return names.flatMap(name => {
    const text = String(list?.[name] ?? '')
    if (!MAY_BE_FRACTIONAL.test(text) || !isFractional(text)) return []
    const shown = JSON.stringify(canonicalQuantity(text))
    return [`${field}[${name}]: fractional byte value ${shown} is invalid, must be an integer`]
  })
}

function isFractional(text: string): boolean {
  try {
    return milliValue(parseQuantity(text)) % 1000 !== 0
  } catch (error) {
    if (error instanceof QuantityError) return false
    throw error
  }
}

export function addressWarnings(field: string, text: string): string[] {
  const canonical = parseAddress(text) === null ? null : canonicalAddress(text)
  if (canonical === null || canonical === text) return []
  const [shown, better] = [JSON.stringify(text), JSON.stringify(canonical)]
  if (text.includes(':') && canonical.includes(':') && !text.includes('.'))
    return [`${field}: IPv6 address ${shown} should be in RFC 5952 canonical format (${better})`]
  return [
    `${field}: non-standard IP address ${shown} will be considered invalid in a future Kubernetes release: use ${better}`,
  ]
}

export function cidrWarnings(field: string, text: string): string[] {
  const cidr = parseCidr(text)
  if (cidr === null) return []
  const network = formatCidr(cidr)
  const [address = '', length = ''] = text.split('/')
  const plain = canonicalAddress(address) ?? address
  if (network !== `${plain}/${length}`) {
    const single = `${plain}/${plain.includes(':') ? 128 : 32}`
    const choice = `should be ${JSON.stringify(network)} or ${JSON.stringify(single)}?`
    return [`${field}: CIDR value ${JSON.stringify(text)} is ambiguous in this context (${choice})`]
  }
  if (network === text) return []
  return [
    `${field}: IPv6 CIDR value ${JSON.stringify(text)} should be in RFC 5952 canonical format (${JSON.stringify(network)})`,
  ]
}

/** The name of whatever names pods: `use` says for what. */
export function nameWarnings(name: string | undefined, use: string): string[] {
  const problems = checkDns1123Label(name ?? '')
  if (problems.length === 0) return []
  return [
    `metadata.name: this is used in ${use}, which can result in surprising behavior; ` +
      `a DNS label is recommended: [${problems.join(' ')}]`,
  ]
}
