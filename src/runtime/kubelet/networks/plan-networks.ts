/** What plugins are called for a pod's networks, and with what (pure). */
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { KubeObject } from '../../../kube/object.ts'
import {
  type CniArguments,
  type CniPlugin,
  type NetworkConfig,
  parseNetworkConfig,
  pluginsFor,
} from '../runtime/oci/cni-config.ts'
import type { SandboxMetadata } from '../runtime/runtime.ts'
import { interfaceNameOf, type NetworkSelection } from './parse-selections.ts'

export interface NetworkAttachmentDefinition extends KubeObject {
  readonly spec?: { readonly config?: string }
}

/** What the cluster's administrator has set. */
export interface NetworkSettings {
  /** A pod may only use definitions of its own namespace, and of those that are for everybody. */
  readonly namespaceIsolation: boolean
  readonly globalNamespaces: readonly string[]
}

/** A network that a pod is about to be attached to. */
export interface NetworkPlan {
  /** `default/storage`. */
  readonly name: string
  readonly interfaceName: string
  readonly config: NetworkConfig
  readonly runtimeConfig: Readonly<Record<string, unknown>>
  readonly defaultRoute: readonly string[]
  /** A device that its plugin moves into the pod or makes the interface of. */
  readonly device: NetworkDevice | null
}

export interface NetworkDevice {
  readonly resource: string
  readonly id: string
}

const RESOURCE_ANNOTATION = 'k8s.v1.cni.cncf.io/resourceName'

/** Hands out a pod's devices to the networks that want one of a resource, each once. */
export class DeviceTurns {
  readonly #ids: ReadonlyMap<string, readonly string[]>
  readonly #given = new Map<string, number>()

  constructor(ids: ReadonlyMap<string, readonly string[]>) {
    this.#ids = ids
  }

  /** Null: the definition wants none, or the pod has asked for no more of them. */
  next({ metadata }: NetworkAttachmentDefinition): NetworkDevice | null {
    const resource = metadata.annotations?.[RESOURCE_ANNOTATION]?.trim() ?? ''
    const turn = this.#given.get(resource) ?? 0
    const id = this.#ids.get(resource)?.[turn]
    if (id === undefined) return null
    this.#given.set(resource, turn + 1)
    return { resource, id }
  }
}

export const nameOf = ({ namespace, name }: NetworkSelection): string => `${namespace}/${name}`

export function assertMayUse(
  selection: NetworkSelection,
  podNamespace: string,
  settings: NetworkSettings,
): void {
  const { namespaceIsolation, globalNamespaces } = settings
  if (!namespaceIsolation || selection.namespace === podNamespace) return
  if (globalNamespaces.includes(selection.namespace)) return
  throw new Mk8sError(
    'kubelet/runtime',
    `namespaces are isolated: a pod in ${podNamespace} may not use the network ${nameOf(selection)}`,
  )
}

/** `named`: of the configurations on the node, the one of this name, for a definition that has none of its own. */
export function planNetwork(
  selection: NetworkSelection,
  at: number,
  definition: NetworkAttachmentDefinition,
  given: {
    readonly named: (name: string) => NetworkConfig | undefined
    readonly devices: DeviceTurns
  },
): NetworkPlan {
  const { defaultRoute } = selection
  const device = given.devices.next(definition)
  const config = withArguments(configOf(selection, definition, given.named), selection.cniArgs)
  const runtimeConfig =
    device === null ? selection.runtimeConfig : { ...selection.runtimeConfig, deviceID: device.id }
  return {
    ...{ name: nameOf(selection), interfaceName: interfaceNameOf(selection, at), defaultRoute, device },
    ...{ config: withDevice(config, device), runtimeConfig },
  }
}

/** As Multus does: the first plugin is told, by both names that plugins know. */
function withDevice(config: NetworkConfig, device: NetworkDevice | null): NetworkConfig {
  const [first, ...more] = config.plugins
  if (device === null || first === undefined) return config
  return { ...config, plugins: [{ ...first, deviceID: device.id, pciBusID: device.id }, ...more] }
}

function configOf(
  selection: NetworkSelection,
  { spec }: NetworkAttachmentDefinition,
  named: (name: string) => NetworkConfig | undefined,
): NetworkConfig {
  const text = spec?.config?.trim() ?? ''
  const label = `the NetworkAttachmentDefinition ${nameOf(selection)}`
  if (text === '') {
    const found = named(selection.name)
    if (found !== undefined) return found
    const why = `no network configuration on this node is named ${selection.name}`
    throw new Mk8sError('kubelet/runtime', `${label} has no config, and ${why}`)
  }
  try {
    const config = parseNetworkConfig(text, 'its config')
    return config.name === '' ? { ...config, name: selection.name } : config
  } catch (error) {
    const why = error instanceof Mk8sError && error.why ? `: ${error.why}` : ''
    throw new Mk8sError('kubelet/runtime', `${label} cannot be used: ${messageOf(error)}${why}`)
  }
}

function withArguments(config: NetworkConfig, cniArgs: NetworkSelection['cniArgs']): NetworkConfig {
  if (cniArgs === undefined) return config
  const add = (plugin: CniPlugin): CniPlugin => {
    const { args = {} } = plugin as { args?: { cni?: object } }
    return { ...plugin, args: { ...args, cni: { ...args.cni, ...cniArgs } } }
  }
  return { ...config, plugins: config.plugins.map(add) }
}

export interface PodPlace {
  readonly sandboxId: string
  readonly netns: string
  readonly metadata: SandboxMetadata
}

export function planAddition(plan: NetworkPlan, { sandboxId, netns, metadata }: PodPlace) {
  const { config, runtimeConfig, interfaceName } = plan
  const args: CniArguments = {
    containerId: sandboxId,
    ...{ netns, interfaceName, runtimeConfig },
    pod: {
      K8S_POD_NAMESPACE: metadata.namespace,
      K8S_POD_NAME: metadata.name,
      K8S_POD_INFRA_CONTAINER_ID: sandboxId,
      K8S_POD_UID: metadata.uid,
    },
  }
  const plugins = pluginsFor(config.plugins, args)
  return { network: config.name, cniVersion: config.cniVersion, plugins, arguments: args, result: null }
}

/**
 * Words for `ip`, in the pod's namespace: what has no other way leaves by the networks that ask for it. A family that
 * none of them asks for leaves as before.
 */
export function planDefaultRoutes(
  networks: readonly Pick<NetworkPlan, 'interfaceName' | 'defaultRoute'>[],
  others: readonly string[] = ['eth0'],
): { readonly words: readonly string[]; readonly mayFail: boolean }[] {
  const interfaces = [...others, ...networks.map(({ interfaceName }) => interfaceName)]
  return (['-4', '-6'] as const).flatMap(family => {
    const wanted = networks.flatMap(({ interfaceName, defaultRoute }) => {
      const gateway = defaultRoute.find(address => address.includes(':') === (family === '-6'))
      return gateway === undefined ? [] : [{ interfaceName, gateway }]
    })
    const [first] = wanted
    if (first === undefined) return []
    const add = ['route', 'replace', 'default', 'via', first.gateway, 'dev', first.interfaceName]
    return [
      ...interfaces.map(name => ({
        words: [family, 'route', 'del', 'default', 'dev', name],
        mayFail: true,
      })),
      { words: [family, ...add], mayFail: false },
    ]
  })
}
