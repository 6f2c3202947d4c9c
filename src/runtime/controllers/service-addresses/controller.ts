/**
 * Makes the IPAddresses agree with the cluster IPs that Services have, where somebody deleted one, or a cluster is
 * older than they are.
 */
import { isAlreadyExists, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { IP_ADDRESSES, SERVICES } from '../../../client/resources.ts'
import { canonicalAddress } from '../../../kube/cidr.ts'
import { clusterIpObject, isOfCluster } from '../../../kube/ip-address.ts'
import type { IPAddress, Service } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'

const ADDRESS_INDEX = 'address'

/** In the one way to write them. */
const addressesOf = ({ spec }: Service): string[] =>
  (spec?.clusterIPs ?? []).flatMap(address => canonicalAddress(address) ?? [])

export function createServiceAddressController(context: ControllerContext): Controller {
  const services = context.informers.informer<Service>(SERVICES)
  services.addIndex(ADDRESS_INDEX, addressesOf)
  const addresses = context.informers.informer<IPAddress>(IP_ADDRESSES)
  const client = context.serverClient
  const nameOf = ({ metadata }: IPAddress) => [metadata.name ?? '']
  return keyedController({
    name: 'service-address-controller',
    context,
    sources: [keysFrom(services, addressesOf), keysFrom(addresses, nameOf)],
    async reconcile(address) {
      const service = services.byIndex(ADDRESS_INDEX, address)[0]
      const present = addresses.get(address)
      const isOurs = present !== undefined && isOfCluster(present)
      if ((service === undefined) === (present === undefined)) return undefined
      const { namespace = '', name = '' } = service?.metadata ?? present?.spec?.parentRef ?? {}
      // The two caches are not of one moment, and the object was written together with the Service.
      const isHeld = await holds(client, { namespace, name }, address)
      try {
        if (service !== undefined && isHeld)
          await client.create(IP_ADDRESSES, clusterIpObject(service.metadata, address))
        else if (isOurs && !isHeld) await client.delete(IP_ADDRESSES, { name: address })
      } catch (error) {
        if (!isAlreadyExists(error) && !isNotFound(error)) throw error
      }
      return undefined
    },
  })
}

async function holds(
  client: KubeClient,
  place: { readonly namespace: string; readonly name: string },
  address: string,
): Promise<boolean> {
  try {
    return addressesOf(await client.get<Service>(SERVICES, place)).includes(address)
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}
