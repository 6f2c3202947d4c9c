/**
 * ServiceCIDRs: ready as soon as they are there, and kept by a finalizer until no Service has an address that no other
 * one of them holds.
 */
import { IP_ADDRESSES, SERVICE_CIDRS } from '../../../client/resources.ts'
import { cidrContains, parseAddress, parseCidr } from '../../../kube/cidr.ts'
import { isOfCluster } from '../../../kube/ip-address.ts'
import { formatTime } from '../../../kube/time.ts'
import type { IPAddress, ServiceCIDR } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'

const SERVICE_ACCOUNT = 'service-cidrs-controller'
const FINALIZER = 'networking.k8s.io/service-cidr-finalizer'
/** Other servers may hear a little later that nothing is to be taken from it any more. */
const GRACE_MS = 1_000
const READY = {
  ...{ type: 'Ready', status: 'True', reason: '', message: 'Kubernetes Service CIDR is ready' },
} as const
const TERMINATING = {
  ...{ type: 'Ready', status: 'False', reason: 'Terminating' },
  message:
    'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR',
} as const

/** Whether the ServiceCIDR holds the address (pure). */
export function holdsAddress({ spec }: ServiceCIDR, address: string): boolean {
  const parsed = parseAddress(address)
  if (parsed === null) return false
  return (spec?.cidrs ?? []).some(text => {
    const cidr = parseCidr(text)
    return cidr !== null && cidrContains(cidr, parsed)
  })
}

/** Whether an address would be left that no other ServiceCIDR holds (pure). */
export function isInUse(
  cidr: ServiceCIDR,
  others: readonly ServiceCIDR[],
  addresses: readonly string[],
): boolean {
  const staying = others.filter(
    ({ metadata }) => metadata.name !== cidr.metadata.name && metadata.deletionTimestamp === undefined,
  )
  return addresses.some(
    address => holdsAddress(cidr, address) && !staying.some(other => holdsAddress(other, address)),
  )
}

export function createServiceCidrController(context: ControllerContext): Controller {
  const cidrs = context.informers.informer<ServiceCIDR>(SERVICE_CIDRS)
  const addresses = context.informers.informer<IPAddress>(IP_ADDRESSES)
  const client = context.client(SERVICE_ACCOUNT)
  const nameOf = ({ metadata }: ServiceCIDR) => metadata.name ?? ''
  const dying = () => cidrs.list().filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
  const setCondition = async (cidr: ServiceCIDR, condition: typeof READY | typeof TERMINATING) => {
    const present = cidr.status?.conditions?.find(({ type }) => type === condition.type)
    if (present?.status === condition.status && present.message === condition.message) return
    const lastTransitionTime = formatTime(context.clock.now())
    const patch = { status: { conditions: [{ ...condition, lastTransitionTime }] } }
    await client.patch(SERVICE_CIDRS, { name: nameOf(cidr), subresource: 'status', type: 'merge', patch })
  }
  const setFinalizers = async ({ metadata }: ServiceCIDR, finalizers: readonly string[]) => {
    const { name = '', resourceVersion } = metadata
    const patch = { metadata: { finalizers, resourceVersion } }
    await client.patch(SERVICE_CIDRS, { name, type: 'merge', patch })
  }
  return keyedController({
    name: 'service-cidr-controller',
    context,
    sources: [
      // One that comes or goes may be what another one waits for.
      keysFrom(cidrs, cidr => [nameOf(cidr), ...dying().map(nameOf)]),
      keysFrom(addresses, ({ metadata }) => {
        const waiting = dying().filter(cidr => holdsAddress(cidr, metadata.name ?? ''))
        return waiting.map(nameOf)
      }),
    ],
    async reconcile(name) {
      const cidr = cidrs.get(name)
      if (cidr === undefined) return undefined
      const { finalizers = [], deletionTimestamp } = cidr.metadata
      if (deletionTimestamp === undefined) {
        if (!finalizers.includes(FINALIZER)) await setFinalizers(cidr, [...finalizers, FINALIZER])
        await setCondition(cidr, READY)
        return undefined
      }
      if (!finalizers.includes(FINALIZER)) return undefined
      const ours = addresses.list().filter(isOfCluster)
      const held = ours.map(({ metadata }) => metadata.name ?? '')
      if (isInUse(cidr, cidrs.list(), held)) {
        await setCondition(cidr, TERMINATING)
        return undefined
      }
      const leftMs = Date.parse(deletionTimestamp) + GRACE_MS - context.clock.now()
      if (leftMs > 0) return leftMs
      await setFinalizers(
        cidr,
        finalizers.filter(each => each !== FINALIZER),
      )
      return undefined
    },
  })
}
