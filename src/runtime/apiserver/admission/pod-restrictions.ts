/** What pods must look like where an administrator wants it so: images pulled anew, affinities, tolerations. */
import { isDeepStrictEqual } from 'node:util'
import { notSupported } from '../../../kube/field-error.ts'
import type { Container, Pod, PodSpec, Toleration } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../ports.ts'
import { isWhole, podToWrite, refuse } from './refuse.ts'

const HOSTNAME = 'kubernetes.io/hostname'

const containersOf = (spec: PodSpec): readonly (readonly [path: string, container: Container])[] =>
  (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap(list =>
    (spec[list] ?? []).map((container, at) => [`spec.${list}[${at}]`, container as Container] as const),
  )

/** Who may use an image is asked of its registry each time. */
export function alwaysPullImages(): AdmissionPlugin {
  const specOf = (request: AdmissionRequest): PodSpec | undefined => {
    const spec = podToWrite(request)?.spec
    return spec === undefined || usesNoNewImage(request, spec) ? undefined : spec
  }
  return {
    name: 'AlwaysPullImages',
    admit(request) {
      const spec = specOf(request)
      if (spec === undefined) return
      for (const [, container] of containersOf(spec)) container.imagePullPolicy = 'Always'
      for (const { image } of spec.volumes ?? []) if (image) image.pullPolicy = 'Always'
    },
    validate(request) {
      const spec = specOf(request)
      if (spec === undefined) return
      const policies = [
        ...containersOf(spec).map(
          ([path, { imagePullPolicy }]) => [`${path}.imagePullPolicy`, imagePullPolicy ?? ''] as const,
        ),
        ...(spec.volumes ?? []).flatMap(({ image }, at) =>
          image ? [[`spec.volumes[${at}].image.pullPolicy`, image.pullPolicy ?? ''] as const] : [],
        ),
      ]
      const wrong = policies.find(([, policy]) => policy !== 'Always')
      if (wrong === undefined) return
      const { field, message } = notSupported(wrong[0], wrong[1], ['Always'])
      throw refuse(request, `${field}: ${message}`)
    },
  }
}

function usesNoNewImage({ operation, oldObject }: AdmissionRequest, spec: PodSpec): boolean {
  const old = (oldObject as unknown as Pod | null)?.spec
  if (operation !== 'UPDATE' || old === undefined) return false
  const before = new Set(imagesOf(old))
  return imagesOf(spec).every(image => before.has(image))
}

const imagesOf = (spec: PodSpec): readonly (string | undefined)[] => [
  ...containersOf(spec).map(([, { image }]) => image),
  ...(spec.volumes ?? []).flatMap(({ image }) => (image ? [image.reference] : [])),
]

/** Whoever wants a whole zone for itself keeps everybody else out of it. */
export function limitPodHardAntiAffinityTopology(): AdmissionPlugin {
  return {
    name: 'LimitPodHardAntiAffinityTopology',
    validate(request) {
      const terms =
        podToWrite(request)?.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution
      const other = terms?.find(({ topologyKey }) => topologyKey !== HOSTNAME)
      if (other === undefined) return
      const what = 'affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey'
      throw refuse(request, `${what} ${other.topologyKey} but only key ${HOSTNAME} is allowed`)
    },
  }
}

/** A resource of somebody's own. */
const isExtended = (name: string): boolean =>
  name.includes('/') && !name.includes('kubernetes.io/') && !name.startsWith('requests.')

/** Nodes with special devices are tainted with the name of these; who asks for a device tolerates that. */
export function extendedResourceToleration(): AdmissionPlugin {
  return {
    name: 'ExtendedResourceToleration',
    admit(request) {
      const spec = podToWrite(request)?.spec
      if (spec === undefined) return
      const containers = [...spec.containers, ...(spec.initContainers ?? [])]
      const asked = containers.flatMap(({ resources }) => Object.keys(resources?.requests ?? {}))
      for (const key of [...new Set(asked.filter(isExtended))].sort())
        addToleration(spec, { key, operator: 'Exists', effect: 'NoSchedule' })
    },
  }
}

function addToleration(spec: PodSpec, wanted: Toleration): void {
  const present = spec.tolerations ?? []
  const same = ({ key = '', operator = 'Equal', effect = '', value = '' }: Toleration) => [
    ...[key, operator, effect, value],
  ]
  if (present.some(one => isDeepStrictEqual(same(one), same(wanted)))) return
  spec.tolerations = [...present, wanted]
}

/** Traffic to an external IP goes to whoever has a Service with it, so that nobody new may have one. */
export function denyServiceExternalIps(): AdmissionPlugin {
  const addressesOf = (object: AdmissionRequest['object']): readonly string[] =>
    (object as unknown as { spec?: { externalIPs?: string[] } } | null)?.spec?.externalIPs ?? []
  return {
    name: 'DenyServiceExternalIPs',
    validate(request) {
      const { operation, object, oldObject } = request
      if ((operation !== 'CREATE' && operation !== 'UPDATE') || !isWhole(request, '', 'services')) return
      const before = addressesOf(oldObject)
      if (addressesOf(object).every(address => before.includes(address))) return
      throw refuse(request, 'Use of external IPs is denied by admission control')
    },
  }
}
