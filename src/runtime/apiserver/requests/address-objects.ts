/**
 * The IPAddress of each cluster IP: written and deleted together with the claim, in the transaction of its Service.
 * The claim decides who has an address; the object shows it, and one that somebody else made keeps its address back.
 */
import { clusterIpObject } from '../../../kube/ip-address.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import type { IPAddress, ServiceCIDR } from '../../../kube/types.ts'
import type { Compare, Operation } from '../../store/store.ts'
import type { ApiContext } from '../context.ts'
import type { Claim } from '../registry/strategy.ts'
import { asKind } from '../registry/support.ts'
import { decodeValue, encodeValue } from '../storage/encoding.ts'
import { objectKey, type ServedResource } from '../storage/served-resource.ts'

const GROUP = 'networking.k8s.io'

type Context = Pick<ApiContext, 'resources' | 'store' | 'random' | 'clock'>
type Holder = Pick<KubeObject['metadata'], 'namespace' | 'name'>

/** What to add to the Service's transaction. */
export function planAddressObjects(
  context: Context,
  holder: Holder,
  changed: { readonly taken: readonly Claim[]; readonly released: readonly Claim[] },
): { readonly compares: readonly Compare[]; readonly operations: readonly Operation[] } {
  const compares: Compare[] = []
  const operations: Operation[] = []
  const resource = context.resources.stored(GROUP, 'ipaddresses')
  if (resource === undefined) return { compares, operations }
  for (const { value: address } of changed.taken.filter(isAddress)) {
    const key = objectKey(resource, '', address)
    const present = context.store.get(key)
    compares.push({ key, target: 'mod-revision', equals: present?.modRevision ?? 0 })
    operations.push({
      type: 'put',
      key,
      value: encodeValue(resource, addressObject(context, holder, address)),
    })
  }
  for (const { value: address } of changed.released.filter(isAddress)) {
    const held = holderOf(context, resource, address)
    if (held === null || !isSame(held, holder)) continue
    operations.push({ type: 'delete', key: objectKey(resource, '', address) })
  }
  return { compares, operations }
}

/** Somebody else's object holds the address back. */
export function isHeldBack(context: Context, holder: Holder, claim: Claim): boolean {
  const resource = isAddress(claim) ? context.resources.stored(GROUP, 'ipaddresses') : undefined
  if (resource === undefined) return false
  const held = holderOf(context, resource, claim.value)
  return held !== null && !isSame(held, holder)
}

/** Of ServiceCIDRs that are ready, in the order of their names. */
export function serviceNetworksIn({ objects }: Pick<ApiContext, 'objects'>): readonly string[] {
  const cidrs = objects.list(GROUP, 'servicecidrs').map(object => asKind<ServiceCIDR>(object))
  const isReady = ({ metadata, status }: ServiceCIDR) =>
    metadata.deletionTimestamp === undefined &&
    status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True') === true
  return cidrs.filter(isReady).flatMap(({ spec }) => spec?.cidrs ?? [])
}

const isAddress = ({ space }: Claim): boolean => space === 'service-ip'

const isSame = (one: Holder, other: Holder) => one.namespace === other.namespace && one.name === other.name

/** Null when there is no object; one without a Service is held by nobody that we know. */
function holderOf(context: Context, resource: ServedResource, address: string): Holder | null {
  const kv = context.store.get(objectKey(resource, '', address))
  if (kv === null) return null
  const { namespace = '', name = '' } =
    asKind<IPAddress>(decodeValue(resource, kv)).spec?.parentRef ?? ({} as Holder)
  return { namespace, name }
}

function addressObject({ random, clock }: Context, holder: Holder, address: string): KubeObject {
  const object = clusterIpObject(holder, address)
  const metadata = {
    ...object.metadata,
    uid: random.uuid(),
    creationTimestamp: formatTime(clock.now()),
  }
  return { ...object, metadata } as KubeObject
}
