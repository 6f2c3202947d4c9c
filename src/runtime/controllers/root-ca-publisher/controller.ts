/** Publishes the cluster's authority in every namespace, so that pods can check the API server. */
import { keyOf } from '../../../client/informer.ts'
import { isAlreadyExists } from '../../../client/kube-client.ts'
import { CONFIG_MAPS, NAMESPACES } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { ConfigMap, Namespace } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planRootCa, ROOT_CA_NAME } from './plan.ts'

const SERVICE_ACCOUNT = 'root-ca-cert-publisher'

/** Other ConfigMaps may be large, and only their names matter here. */
function dropData(map: ConfigMap): ConfigMap {
  if (map.metadata.name === ROOT_CA_NAME) return map
  delete map.data
  delete map.binaryData
  return map
}

export function createRootCaPublisher(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const namespaces = context.informers.informer<Namespace>(NAMESPACES)
  const configMaps = context.informers.informer<ConfigMap>(CONFIG_MAPS, { transform: dropData })
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(namespaces, namespace => [keyOf(namespace)]),
      {
        subscribe: add =>
          context.settings.onClusterCa?.(() => {
            for (const namespace of namespaces.list()) add(keyOf(namespace))
          }) ?? (() => {}),
      },
      keysFrom(configMaps, map => (map.metadata.name === ROOT_CA_NAME ? [map.metadata.namespace ?? ''] : [])),
    ],
    async reconcile(name, signal) {
      const current = configMaps.get(`${name}/${ROOT_CA_NAME}`)
      const plan = planRootCa(namespaces.get(name), current, context.settings.clusterCaPem)
      if (plan.kind === 'nothing') return undefined
      try {
        const written =
          plan.kind === 'create'
            ? await client.create<ConfigMap>(CONFIG_MAPS, plan.object)
            : await client.update<ConfigMap>(CONFIG_MAPS, plan.object)
        await configMaps.caughtUp(written.metadata.resourceVersion, signal)
      } catch (error) {
        if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error
      }
      return undefined
    },
  })
}
