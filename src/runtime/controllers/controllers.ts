/** The door of the controllers: all of them as one component, which runs while this node leads. */
import { abortable } from '../../base/abortable.ts'
import type { Clock } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { EventRecorder } from '../../client/event-recorder.ts'
import type { InformerSet } from '../../client/informer-set.ts'
import { KubeClient } from '../../client/kube-client.ts'
import type { Transport } from '../../client/transport.ts'
import type { Model } from '../../kube/model-types.ts'
import { createAttachDetachController } from './attach-detach/controller.ts'
import { createCertificateController } from './certificates/controller.ts'
import { createClusterRoleAggregationController } from './cluster-role-aggregation/controller.ts'
import { createCronJobController } from './cron-job/controller.ts'
import { createDefinitionController } from './custom-resource-definition/controller.ts'
import { createDaemonSetController } from './daemon-set/controller.ts'
import { createDeploymentController } from './deployment/controller.ts'
import { createDeviceTaintEviction } from './device-taint-eviction/controller.ts'
import { createDisruptionController } from './disruption/controller.ts'
import { createEndpointSliceController } from './endpoint-slice/controller.ts'
import { createEndpointSliceMirroringController } from './endpoint-slice-mirroring/controller.ts'
import { createEndpointsController } from './endpoints/controller.ts'
import { createEphemeralVolumeController } from './ephemeral-volume/controller.ts'
import { createFlowSchemaStatusController } from './flow-schema-status/controller.ts'
import { createGarbageCollector } from './garbage-collector/controller.ts'
import { createAutoscalerController } from './horizontal-pod-autoscaler/controller.ts'
import { createHostpathProvisioner } from './hostpath-provisioner/controller.ts'
import { createJobController } from './job/controller.ts'
import { createNamespaceController } from './namespace/controller.ts'
import { createNodeIpamController } from './node-ipam/controller.ts'
import { createNodeLifecycleController } from './node-lifecycle/controller.ts'
import { createPersistentVolumeBinder } from './persistent-volume/controller.ts'
import { createPodGarbageCollector } from './pod-gc/controller.ts'
import { createReplicaSetController, createReplicationController } from './replica-set/controller.ts'
import { createResourceClaimController } from './resource-claim/controller.ts'
import { createResourceQuotaController } from './resource-quota/controller.ts'
import { createRootCaPublisher } from './root-ca-publisher/controller.ts'
import { createServiceAccountController } from './service-account/controller.ts'
import { createServiceAddressController } from './service-addresses/controller.ts'
import { createServiceCidrController } from './service-addresses/service-cidrs.ts'
import type { Controller, ControllerContext, ControllerSettings } from './shared/context.ts'
import { CustomInformers } from './shared/custom-resources.ts'
import { createStatefulSetController } from './stateful-set/controller.ts'
import { createTaintEvictionController } from './taint-eviction/controller.ts'
import { createTtlAfterFinishedController } from './ttl-after-finished/controller.ts'
import { createPolicyStatusController } from './validating-admission-policy-status/controller.ts'
import { createVolumeExpandController } from './volume-expand/controller.ts'
import { createClaimProtection, createVolumeProtection } from './volume-protection/controller.ts'

export { type ControllerSettings, DEFAULT_SETTINGS } from './shared/context.ts'

export interface ControllersUser {
  readonly username: string
  readonly groups: readonly string[]
}

export interface ControllersParts {
  /** In-process access to the API server as this user. */
  readonly transport: (user: ControllersUser) => Transport
  /**
   * The caches, shared with the scheduler; made anew for each term, so that they begin with a list that holds
   * everything the former leader wrote. Its client must be allowed to list and watch everything
   * (system:kube-controller-manager). Started here, and stopped with the component that started it first.
   */
  readonly informers: InformerSet
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly settings: ControllerSettings
  /** The Raft term that every write belongs to. */
  readonly term: number
  readonly model: Model
}

/** In the order of start; the collectors come last and share the caches that the others filled. */
const CONTROLLERS: readonly ((context: ControllerContext) => Controller)[] = [
  createServiceAccountController,
  createRootCaPublisher,
  createDeploymentController,
  createReplicaSetController,
  createReplicationController,
  createStatefulSetController,
  createDaemonSetController,
  createCronJobController,
  createJobController,
  createTtlAfterFinishedController,
  createDisruptionController,
  createAutoscalerController,
  createEndpointSliceController,
  createEndpointsController,
  createEndpointSliceMirroringController,
  createNodeIpamController,
  createServiceAddressController,
  createServiceCidrController,
  createNodeLifecycleController,
  createTaintEvictionController,
  createDeviceTaintEviction,
  createPodGarbageCollector,
  createPersistentVolumeBinder,
  createHostpathProvisioner,
  createEphemeralVolumeController,
  createResourceClaimController,
  createVolumeExpandController,
  createAttachDetachController,
  createClaimProtection,
  createVolumeProtection,
  createClusterRoleAggregationController,
  createResourceQuotaController,
  createDefinitionController,
  createPolicyStatusController,
  createFlowSchemaStatusController,
  createCertificateController,
  createNamespaceController,
  createGarbageCollector,
]

const API_SERVER: ControllersUser = { username: 'system:apiserver', groups: ['system:masters'] }

/** The identity of a controller: a service account of kube-system, as upstream's controllers have. */
export function controllerUser(serviceAccount: string): ControllersUser {
  return {
    username: `system:serviceaccount:kube-system:${serviceAccount}`,
    groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'],
  }
}

export function createControllers(parts: ControllersParts): Component {
  const context = createContext(parts)
  const stopping = new AbortController()
  let controllers: readonly Controller[] = []
  let running = false
  return {
    name: 'controllers',
    async prepare() {
      controllers = CONTROLLERS.map(create => create(context))
    },
    async start(signal) {
      parts.informers.start(stopping.signal)
      await abortable(parts.informers.synced(), AbortSignal.any([signal, stopping.signal]))
      context.custom.start()
      for (const controller of controllers) controller.start()
      running = true
    },
    async stop() {
      running = false
      stopping.abort()
      context.custom.stop()
      await Promise.all(controllers.map(controller => controller.stop()))
    },
    health: () => ({ ok: running, reason: running ? '' : 'the controllers are not running' }),
  }
}

function createContext(parts: ControllersParts): ControllerContext {
  const { informers, clock, random, log, settings, model, term } = parts
  const clients = new Map<string, KubeClient>()
  const client = (serviceAccount: string): KubeClient => {
    const known = clients.get(serviceAccount)
    if (known !== undefined) return known
    const transport = parts.transport(controllerUser(serviceAccount))
    const made = new KubeClient(transport, {
      term,
      userAgent: `kube-controller-manager/mk8s (${serviceAccount})`,
    })
    clients.set(serviceAccount, made)
    return made
  }
  const events: ControllerContext['events'] = ({ component, serviceAccount }) =>
    new EventRecorder({ client: client(serviceAccount), clock, random, log, component })
  const serverClient = new KubeClient(parts.transport(API_SERVER), { term, userAgent: 'kube-apiserver/mk8s' })
  const custom = new CustomInformers(informers)
  return { informers, custom, client, serverClient, events, clock, random, log, settings, model }
}
