/** The defaults of pod specs, for pods and for templates, that depend on more than one field or on lists. */
import { formatQuantity } from '../../../../kube/quantity.ts'
import { podTotal } from '../../../../kube/quota-usage.ts'
import type {
  Container,
  EphemeralContainer,
  Lifecycle,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Probe,
  Volume,
} from '../../../../kube/types.ts'
import { setDefault } from '../support.ts'
import { isQuantity } from '../validation/quantities.ts'

/** 0644, as a number: how upstream writes the mode of projected files. */
const FILE_MODE = 0o644
const TOKEN_SECONDS = 3600

/** What only pods get, not templates: requests from limits, service links, host ports on the host network. */
export function defaultPod(pod: Pod): void {
  const spec = pod.spec
  if (!spec) return
  setDefault(spec, 'enableServiceLinks', true)
  for (const container of allContainers(spec)) {
    requestsFromLimits(container)
    if (spec.hostNetwork !== true) continue
    for (const port of container.ports ?? []) if (!port.hostPort) port.hostPort = port.containerPort
  }
  requestsOfPod(spec)
  defaultPodSpec(spec)
}

const isOfPods = (name: string): boolean =>
  name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')

/** A pod that has resources as a whole asks for what its containers ask for, or else for its limits. */
function requestsOfPod(spec: PodSpec): void {
  const { resources, overhead: _overhead, ...own } = spec
  if (!resources || !isReadable(spec)) return
  const requests = { ...resources.requests }
  for (const [name, amount] of podTotal(own, 'requests')) {
    if (name === 'cpu' || name === 'memory') requests[name] ??= formatQuantity(amount)
  }
  for (const [name, amount] of Object.entries(resources.limits ?? {})) {
    if (isOfPods(name)) requests[name] ??= amount
  }
  if (Object.keys(requests).length > 0) resources.requests = requests
}

/** What cannot be read is for validation to tell. */
function isReadable(spec: PodSpec): boolean {
  const all = [...(spec.initContainers ?? []), ...(spec.containers ?? [])]
  return all.every(({ resources }) => Object.values(resources?.requests ?? {}).every(isQuantity))
}

export function defaultTemplate(template: PodTemplateSpec | undefined): void {
  if (template?.spec) defaultPodSpec(template.spec)
}

export function defaultPodSpec(spec: PodSpec): void {
  setDefault(spec, 'dnsPolicy', 'ClusterFirst')
  setDefault(spec, 'restartPolicy', 'Always')
  setDefault(spec, 'securityContext', {})
  setDefault(spec, 'terminationGracePeriodSeconds', 30)
  setDefault(spec, 'schedulerName', 'default-scheduler')
  mirrorServiceAccount(spec)
  for (const volume of spec.volumes ?? []) defaultVolume(volume)
  for (const container of allContainers(spec)) defaultContainer(container)
}

/** `serviceAccount` is the old name of `serviceAccountName`; both are always shown with one value. */
function mirrorServiceAccount(spec: PodSpec): void {
  const name = spec.serviceAccountName || spec.serviceAccount
  if (!name) return
  spec.serviceAccountName = name
  spec.serviceAccount = name
}

export function allContainers(spec: PodSpec): (Container | EphemeralContainer)[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]
}

function requestsFromLimits(container: Container | EphemeralContainer): void {
  const limits = container.resources?.limits
  if (!container.resources || !limits) return
  const requests = { ...container.resources.requests }
  for (const [name, quantity] of Object.entries(limits)) requests[name] ??= quantity
  container.resources.requests = requests
}

function defaultContainer(container: Container | EphemeralContainer): void {
  setDefault(container, 'imagePullPolicy', pullPolicyFor(container.image ?? ''))
  setDefault(container, 'terminationMessagePath', '/dev/termination-log')
  setDefault(container, 'terminationMessagePolicy', 'File')
  setDefault(container, 'resources', {})
  for (const port of container.ports ?? []) setDefault(port, 'protocol', 'TCP')
  for (const entry of container.env ?? []) {
    if (entry.valueFrom?.fieldRef) setDefault(entry.valueFrom.fieldRef, 'apiVersion', 'v1')
  }
  defaultProbe(container.livenessProbe)
  defaultProbe(container.readinessProbe)
  defaultProbe(container.startupProbe)
  defaultLifecycle(container.lifecycle)
}

/** `Always` for the tag `latest`, spelled out or not; `IfNotPresent` for any other tag and for digests. */
export function pullPolicyFor(image: string): string {
  if (image === '' || image.includes('@')) return 'IfNotPresent'
  const last = image.slice(image.lastIndexOf('/') + 1)
  const colon = last.indexOf(':')
  return colon < 0 || last.slice(colon + 1) === 'latest' ? 'Always' : 'IfNotPresent'
}

function defaultProbe(probe: Probe | undefined): void {
  if (!probe) return
  if (!probe.timeoutSeconds) probe.timeoutSeconds = 1
  if (!probe.periodSeconds) probe.periodSeconds = 10
  if (!probe.successThreshold) probe.successThreshold = 1
  if (!probe.failureThreshold) probe.failureThreshold = 3
  if (probe.httpGet) defaultHttpGet(probe.httpGet)
  if (probe.grpc) setDefault(probe.grpc, 'service', '')
}

function defaultHttpGet(action: { path?: string; scheme?: string }): void {
  if (!action.path) action.path = '/'
  if (!action.scheme) action.scheme = 'HTTP'
}

function defaultLifecycle(lifecycle: Lifecycle | undefined): void {
  if (lifecycle?.postStart?.httpGet) defaultHttpGet(lifecycle.postStart.httpGet)
  if (lifecycle?.preStop?.httpGet) defaultHttpGet(lifecycle.preStop.httpGet)
}

function defaultVolume(volume: Volume): void {
  if (Object.keys(volume).every(key => key === 'name')) volume.emptyDir = {}
  for (const source of [volume.secret, volume.configMap, volume.downwardAPI, volume.projected]) {
    if (source) setDefault(source, 'defaultMode', FILE_MODE)
  }
  if (volume.hostPath) setDefault(volume.hostPath, 'type', '')
  if (volume.iscsi) setDefault(volume.iscsi, 'iscsiInterface', 'default')
  if (volume.image) setDefault(volume.image, 'pullPolicy', pullPolicyFor(volume.image.reference ?? ''))
  if (volume.ephemeral?.volumeClaimTemplate?.spec) {
    setDefault(volume.ephemeral.volumeClaimTemplate.spec, 'volumeMode', 'Filesystem')
  }
  const downward = volume.downwardAPI?.items ?? []
  const projected = volume.projected?.sources ?? []
  for (const item of [...downward, ...projected.flatMap(source => source.downwardAPI?.items ?? [])]) {
    if (item.fieldRef) setDefault(item.fieldRef, 'apiVersion', 'v1')
  }
  for (const source of projected) {
    if (source.serviceAccountToken) setDefault(source.serviceAccountToken, 'expirationSeconds', TOKEN_SECONDS)
  }
}
