/**
 * The door of the kubelet: registers the node, runs the pods that are bound to it, and serves their logs.
 * Each pod has a worker; what wakes it is the API, the runtime, its probes and its objects, never a poll.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component, Health } from '../../base/component.ts'
import { EventRecorder } from '../../client/event-recorder.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { NODES, PODS } from '../../client/resources.ts'
import type { Node, Pod } from '../../kube/types.ts'
import { KubeletAccess } from './access.ts'
import { NodeAdmission } from './admission/node-admission.ts'
import { KubeletServer } from './api.ts'
import { appArmorRefusal } from './app-armor.ts'
import { createCpus } from './cpus/create-cpus.ts'
import { CredentialProviders, NO_PROVIDERS } from './credential-providers.ts'
import { CsiCredentials } from './csi/csi-credentials.ts'
import { CsiMounts } from './csi/csi-mounts.ts'
import { DeviceManager } from './devices/device-manager.ts'
import { endWorkloads } from './end-workloads.ts'
import { Housekeeping } from './housekeeping.ts'
import type { KubeletParts } from './kubelet-parts.ts'
import { createExtraNetworks } from './networks/create-networks.ts'
import { NodePlugins } from './node-plugins.ts'
import { NodeRegistration } from './node-registration.ts'
import { ObjectSource } from './object-source.ts'
import { findOrphans } from './orphans.ts'
import type { PodContext } from './pod-context.ts'
import { identityOf } from './pod-identity.ts'
import { hasNotEnded, orphanOf } from './pod-states.ts'
import { PodWorker } from './pod-worker.ts'
import { PodWorkers } from './pod-workers.ts'
import { DEFAULT_PRESSURE } from './pressure/eviction-settings.ts'
import { ProbeCounts } from './probes/probe-counts.ts'
import { PullRecords } from './pull-records.ts'
import { LEASE_SECONDS, type NodeFacts } from './render-node.ts'
import { QosGroups } from './resources/qos-groups.ts'
import type { RuntimeEvent } from './runtime/runtime.ts'
import { RuntimeWatch } from './runtime-watch.ts'
import { NodeShutdown } from './shutdown/node-shutdown.ts'
import { SHUTTING_DOWN } from './shutdown/plan-shutdown.ts'
import { fullNameOf, isMirror, isStatic } from './static/render-static-pod.ts'
import { StaticPods } from './static/static-pods.ts'
import { Diagnostics } from './stats/diagnostics.ts'
import { readSubordinates, UserRanges } from './user-ranges.ts'
import { HostpathUsage } from './volumes/hostpath-usage.ts'
import { TokenSource } from './volumes/token-source.ts'

export type { HostFacts } from './host-facts.ts'
export { readHostFacts } from './host-facts.ts'
export type { KubeletParts } from './kubelet-parts.ts'

export interface Kubelet extends Component {
  /** Ends every container on this node, as `mk8s stop` does; the kubelet must be stopped afterwards. */
  stopWorkloads(): Promise<void>
  /** Ends pods by priority because the machine goes down, and says so in their status; they do not come back. */
  shutDown(): Promise<void>
  /** New connections to its port get these from now on. */
  useCertificates(certificates: KubeletParts['certificates']): void
}

export function createKubelet(parts: KubeletParts): Kubelet {
  return new NodeKubelet(parts)
}

const NO_RANGE = 'the cluster has not given this node a range of pod addresses yet'

class NodeKubelet implements Kubelet {
  readonly name = 'kubelet'
  readonly #parts: KubeletParts
  readonly #context: PodContext
  readonly #pods: Informer<Pod>
  readonly #node: NodeRegistration
  readonly #runtimeWatch: RuntimeWatch
  readonly #server: KubeletServer
  readonly #plugins: NodePlugins
  readonly #devices: DeviceManager
  readonly #housekeeping: Housekeeping
  readonly #static: StaticPods | undefined
  readonly #hostpaths: HostpathUsage
  readonly #shutdown: NodeShutdown
  readonly #qosGroups: QosGroups | undefined
  readonly #workers: PodWorkers
  readonly #aborter = new AbortController()
  /** Of this node only. */
  readonly #nodes: Informer<Node>
  #runtimeProblem = ''

  constructor(parts: KubeletParts) {
    this.#parts = parts
    this.#workers = new PodWorkers(parts)
    const { transport, clock, random, log, nodeName, runtime, version } = parts
    const client = new KubeClient(transport, { userAgent: `kubelet/${version}` })
    const shared = { client, clock, random, log }
    const { directories } = parts
    this.#plugins = new NodePlugins({
      ...{ client, clock, random, log, nodeName, directories },
      pods: () => (this.#pods.isSynced ? this.#workers.uids : null),
      onDriver: () => this.#workers.wakeClaimants(),
    })
    this.#devices = new DeviceManager({
      ...{ clock, log, directory: join(directories.pods, '..', 'device-plugins') },
      podResources: join(directories.pods, '..', 'pod-resources'),
      livePods: () => this.#livePods(),
      claims: this.#plugins.claims,
      onChange: holders => {
        void this.#node.setDevices()
        for (const uid of holders) this.#workers.get(uid)?.wake()
      },
    })
    this.#context = this.#createContext(client)
    this.#pods = new Informer<Pod>({ ...shared, resource: PODS, fieldSelector: `spec.nodeName=${nodeName}` })
    const own = `metadata.name=${nodeName}`
    this.#nodes = new Informer<Node>({ ...shared, resource: NODES, fieldSelector: own })
    const leaseSeconds = parts.leaseSeconds ?? LEASE_SECONDS
    const facts = { ...factsOf(parts), devices: () => this.#devices.amounts() }
    this.#node = new NodeRegistration({
      ...{ client, clock, log, leaseSeconds, facts },
      events: this.#context.recorder,
      problem: this.#problem,
    })
    this.#runtimeWatch = new RuntimeWatch({
      ...{ runtime, clock, log },
      onChange: problem => {
        this.#runtimeProblem = problem
        void this.#node.setProblem(this.#problem)
      },
    })
    this.#housekeeping = this.#createHousekeeping()
    this.#static = this.#createStaticPods(client)
    this.#hostpaths = new HostpathUsage({
      ...{ client, clock, log, recorder: this.#context.recorder },
      places: () => this.#workers.places,
    })
    this.#shutdown = this.#createShutdown()
    this.#qosGroups = this.#createQosGroups()
    this.#server = this.#createServer(client)
  }

  #createContext(client: KubeClient): PodContext {
    const parts = this.#parts
    const { clock, random, log, nodeName, nodeAddress, runtime, host, directories, settings } = parts
    const shared = { client, clock, random, log }
    const recorder = new EventRecorder({ ...shared, component: 'kubelet', host: nodeName })
    const reportedAs = (pod: Pod) => {
      const reported = isStatic(pod) ? (this.#static?.mirrorOf(pod) ?? null) : pod
      return reported === null ? null : identityOf(reported)
    }
    return {
      client,
      runtime,
      probeCounts: new ProbeCounts(),
      pullRecords: new PullRecords(join(directories.pods, '..', 'image_manager'), settings.verification),
      providers: new CredentialProviders({ ...(settings.credentialProviders ?? NO_PROVIDERS), clock, log }),
      host,
      settings,
      directories,
      nodeAddress,
      secondAddress: parts.secondAddress,
      nodeName,
      csi: new CsiMounts({
        plugins: this.#plugins.csi,
        credentials: new CsiCredentials(client),
        pods: directories.pods,
        staging: join(directories.plugins, 'kubernetes.io/csi'),
        report: volumesInUse =>
          client.patch(NODES, {
            ...{ name: nodeName, subresource: 'status', type: 'strategic' },
            patch: { status: { volumesInUse } },
          }),
      }),
      networks: createExtraNetworks(parts, {
        client,
        recorder,
        reportedAs,
        devicesOf: uid => this.#devices.idsOf(uid),
      }),
      reportedAs,
      admission: this.#createAdmission(),
      refreshNode: () => this.#node.refresh(),
      devices: this.#devices,
      cpus: createCpus({ ...parts, livePods: () => this.#livePods() }),
      claims: this.#plugins.claims,
      userRanges: new UserRanges({ directory: directories.pods, subordinates: readSubordinates }),
      room: uid => this.#workers.roomFor(uid),
      onFreed: () => this.#onFreed(),
      clock,
      log,
      recorder,
      tokens: new TokenSource({ client, clock }),
      objects: new ObjectSource({ ...shared, onChange: uid => this.#workers.get(uid)?.wake() }),
    }
  }

  #createAdmission(): NodeAdmission {
    const { host, runtime, log } = this.#parts
    const hasAppArmor = host.hasAppArmor !== false || !runtime.isolates
    return new NodeAdmission({
      log,
      refusals: [
        () => this.#shutdown.refusal(),
        pod => appArmorRefusal(pod, hasAppArmor),
        pod => this.#housekeeping.refusalOf(pod),
        pod => this.#devices.admit(pod),
        pod => this.#context.cpus.admit(pod),
      ],
      view: () => this.#workers.view(this.#node.known, this.#devices.amounts().capacity),
      end: (pod, failure) => this.#workers.fail(pod, failure),
    })
  }

  #createHousekeeping(): Housekeeping {
    const { runtime, directories, clock, log, pressure } = this.#parts
    return new Housekeeping({
      ...{ runtime, directories, clock, log, pressure },
      pods: () => this.#workers.alive,
      evict: (pod, failure) => this.#workers.fail(pod, failure),
      onPressures: pressures => void this.#node.setPressures(pressures),
      onNodeEvent: (reason, message) => this.#node.recordEvent('Warning', reason, message),
    })
  }

  #createShutdown(): NodeShutdown {
    const { clock, log, shutdownSteps = [] } = this.#parts
    return new NodeShutdown({
      ...{ clock, log, steps: shutdownSteps },
      pods: () => this.#workers.alive,
      end: async (pod, failure) => {
        const worker = this.#workers.of(pod)
        await worker?.fail(failure)
        await worker?.flush()
      },
      onChange: () => this.#node.setProblem(this.#problem),
    })
  }

  #createStaticPods(client: KubeClient): StaticPods | undefined {
    const { directories, readPod: read, nodeName, clock, log } = this.#parts
    if (directories.manifests === undefined || read === undefined) return undefined
    return new StaticPods({
      ...{ path: directories.manifests, read, nodeName, client, clock, log },
      node: () => this.#node.node,
      run: pod => this.#take(pod),
      end: pod => this.#workers.of(pod)?.vanish(),
      onProblem: message => this.#node.recordEvent('Warning', 'FailedStaticPod', message),
    })
  }

  /** Null until the API has said which there are: what a pod has must not be given away before. */
  #livePods(): readonly Pod[] | null {
    return this.#pods.isSynced ? this.#workers.pods.filter(hasNotEnded) : null
  }

  #createQosGroups(): QosGroups | undefined {
    const { runtime, clock, log } = this.#parts
    if (runtime.groups === undefined) return undefined
    return new QosGroups({
      ...{ groups: runtime.groups, clock, log },
      pods: () => this.#workers.allocated,
      allocatable: this.#workers.roomFor('').allocatable,
    })
  }

  #onFreed(): void {
    this.#qosGroups?.changed()
    this.#context.cpus.release()
    this.#workers.wakeWaiting()
  }

  #createServer(client: KubeClient): KubeletServer {
    const { runtime, clock, log, nodeName, nodeAddress, directories, settings, ports, certificates } =
      this.#parts
    const pods = () => this.#workers.pods
    const { sampler } = this.#housekeeping
    const startedAtMs = clock.now()
    return new KubeletServer({
      ...{ runtime, clock, log, pods, certificates },
      address: nodeAddress,
      port: ports.kubelet,
      volumesDirectory: directories.volumes,
      importImages: this.#parts.importImages,
      systemLogs: this.#parts.systemLogs,
      removeImages: this.#parts.removeImages,
      upgrade: this.#parts.upgrade,
      access: new KubeletAccess({ client, nodeName, clock }),
      diagnostics: new Diagnostics({
        ...{ nodeName, startedAtMs, runtime, sampler, pods, directories, settings, clock },
        version: this.#parts.version,
        machine: this.#parts.host,
        probes: this.#context.probeCounts,
        admission: this.#context.admission,
        pressure: this.#parts.pressure ?? DEFAULT_PRESSURE,
        shutdownSteps: this.#parts.shutdownSteps ?? [],
        volumes: {
          csi: this.#context.csi,
          hostpaths: this.#hostpaths,
          placesOf: pod => this.#workers.placesOf(pod),
        },
      }),
    })
  }

  async prepare(): Promise<void> {
    const { directories } = this.#parts
    await mkdir(directories.pods, { recursive: true, mode: 0o750 })
    await mkdir(directories.plugins, { recursive: true, mode: 0o750 })
    // One that was set may be a file, or not there yet.
    if (directories.manifests) await mkdir(directories.manifests, { recursive: true }).catch(() => {})
    await mkdir(directories.logs, { recursive: true, mode: 0o750 })
  }

  /** Returns once the node is registered and its pods are known. */
  async start(signal: AbortSignal): Promise<void> {
    const stop = () => this.#aborter.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    await this.#parts.runtime.start(event => this.#onRuntimeEvent(event))
    await this.#context.networks.start()
    await this.#qosGroups?.start()
    await this.#server.listen()
    // These need no API, which may be far or one of them.
    await this.#static?.start()
    await this.#node.start(this.#aborter.signal)
    await this.#plugins.start()
    // Without containers of their own there is nobody to give devices to.
    if (this.#parts.runtime.isolates) await this.#devices.start()
    this.#followRange()
    void this.#runtimeWatch.run(this.#aborter.signal)
    this.#shutdown.watch(this.#aborter.signal)
    this.#housekeeping.start(this.#aborter.signal)
    void this.#hostpaths.run(this.#aborter.signal)
    this.#pods.onChange((_key, next, previous) => this.#onPod(next, previous))
    this.#pods.start(this.#aborter.signal)
    await Promise.race([this.#pods.synced, aborted(this.#aborter.signal)])
    this.#aborter.signal.throwIfAborted()
    this.#static?.onSynced()
    await this.#endOrphans()
    void this.#plugins.claims.reconcile()
    void this.#context.cpus.begin()
    void this.#qosGroups?.run(this.#aborter.signal)
    signal.removeEventListener('abort', stop)
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    await this.#static?.stop()
    await this.#workers.stop()
    this.#workers.clear()
    this.#context.objects.stop()
    await this.#plugins.stop()
    this.#devices.stop()
    await this.#server.close()
    await this.#parts.runtime.stop()
  }

  useCertificates(certificates: KubeletParts['certificates']): void {
    this.#server.useCertificates(certificates)
  }

  shutDown(): Promise<void> {
    return this.#shutdown.run()
  }

  async stopWorkloads(): Promise<void> {
    this.#aborter.abort()
    await this.#workers.stop()
    const graceSecondsOf = (uid: string) => this.#workers.get(uid)?.pod.spec?.terminationGracePeriodSeconds
    await endWorkloads(this.#context, graceSecondsOf)
  }

  health(): Health {
    const problem = this.#node.problem
    return { ok: problem === '', reason: problem }
  }

  /** Why this node cannot run pods; empty when it can. */
  get #problem(): string {
    if (this.#shutdown?.isDown) return SHUTTING_DOWN
    const { podRange } = this.#parts
    return podRange?.cidr === null ? NO_RANGE : this.#runtimeProblem
  }

  #followRange(): void {
    const { podRange } = this.#parts
    if (podRange === undefined) return
    podRange.onChange(() => void this.#node.setProblem(this.#problem))
    this.#nodes.onChange((_key, node) => {
      const { podCIDR = '', podCIDRs = [podCIDR] } = node?.spec ?? {}
      if (podCIDR !== '') podRange.set(podCIDRs)
    })
    this.#nodes.start(this.#aborter.signal)
  }

  #onRuntimeEvent(event: RuntimeEvent): void {
    this.#workers.get(event.podUid)?.wake()
  }

  #onPod(next: Pod | null, previous: Pod | null): void {
    const either = next ?? previous
    if (either !== null && isMirror(either)) {
      this.#static?.onMirror(fullNameOf(either), next)
      return
    }
    const isReplaced = next !== null && previous !== null && next.metadata.uid !== previous.metadata.uid
    if ((next === null || isReplaced) && previous !== null) {
      this.#workers.of(previous)?.vanish()
    }
    if (next === null) return
    this.#take(next)
  }

  #take(pod: Pod): void {
    const worker = this.#workers.of(pod)
    if (worker === undefined) this.#add(pod)
    else worker.update(pod)
  }

  #add(pod: Pod): PodWorker {
    const { uid } = identityOf(pod)
    const worker = new PodWorker({
      context: this.#context,
      pod,
      onGone: () => {
        this.#workers.remove(uid)
        this.#context.probeCounts.forget(uid)
        this.#onFreed()
        this.#static?.onGone(pod)
      },
    })
    this.#workers.add(uid, worker)
    this.#qosGroups?.changed()
    worker.wake()
    return worker
  }

  /** Pods that left the API while no kubelet was there, or whose end it did not live to see. */
  async #endOrphans(): Promise<void> {
    const { runtime, directories, log } = this.#parts
    const isKnown = (uid: string) => this.#workers.get(uid) !== undefined
    for (const orphan of await findOrphans({ runtime, directories, isKnown })) {
      log.info('a pod that is not in the API any more is ended', { pod: orphan.name, uid: orphan.uid })
      this.#add(orphanOf(orphan)).vanish()
    }
  }
}

function factsOf({ directories, ports, settings, ...parts }: KubeletParts): NodeFacts {
  const { nodeName, nodeAddress, secondAddress, host, version, runtime } = parts
  return {
    ...{ nodeName, nodeAddress, secondAddress, host, version, runtime },
    kubeletPort: ports.kubelet,
    volumesDirectory: directories.volumes,
    reserved: settings.reserved,
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
