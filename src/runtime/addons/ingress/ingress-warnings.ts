/** What an Ingress names that is not there or not served. Pure. */
import { parseTime } from '../../../kube/time.ts'
import type { Ingress, Service } from '../../../kube/types.ts'
import { nameOf } from '../../ingress/world.ts'

export const TLS_TYPE = 'kubernetes.io/tls'
/** What is applied together with its Services may be there before them. */
export const YOUNG_MS = 10_000

export interface WarningFacts {
  /** `namespace/name` of Secrets of type kubernetes.io/tls. */
  readonly certificates: ReadonlySet<string>
  readonly services: ReadonlyMap<string, Service>
  readonly nowMs: number
}

export interface IngressWarning {
  readonly reason: string
  readonly message: string
}

type Backend = NonNullable<NonNullable<Ingress['spec']>['defaultBackend']>

export function warningsOf(ingress: Ingress, facts: WarningFacts): IngressWarning[] {
  const { namespace = '' } = ingress.metadata
  const paths = (ingress.spec?.rules ?? []).flatMap(({ http }) => http?.paths ?? [])
  const backends = [ingress.spec?.defaultBackend, ...paths.map(({ backend }) => backend)]
  const names = (ingress.spec?.tls ?? []).flatMap(({ secretName }) => secretName || [])
  return [
    ...backends.flatMap(backend => (backend === undefined ? [] : resourceWarning(backend))),
    ...(isYoung(ingress, facts.nowMs)
      ? []
      : backends.flatMap(one => (one === undefined ? [] : serviceWarning(namespace, one, facts)))),
    ...names
      .filter(name => !facts.certificates.has(`${namespace}/${name}`))
      .map(name => ({
        reason: 'MissingCertificate',
        message: `there is no Secret ${name} of type ${TLS_TYPE}; the default certificate is shown`,
      })),
  ]
}

export const isYoung = ({ metadata }: Ingress, nowMs: number): boolean =>
  nowMs - (parseTime(metadata.creationTimestamp ?? '') ?? 0) < YOUNG_MS

/** By `namespace/name`. */
export const servicesByName = (services: readonly Service[]): ReadonlyMap<string, Service> =>
  new Map(services.map(service => [nameOf(service), service]))

function resourceWarning({ resource }: Backend): IngressWarning[] {
  if (resource === undefined) return []
  const message = `resource backends are not served: ${resource.kind} ${resource.name}; use a service`
  return [{ reason: 'UnsupportedBackend', message }]
}

function serviceWarning(
  namespace: string,
  { service }: Backend,
  { services }: Pick<WarningFacts, 'services'>,
): IngressWarning[] {
  if (service === undefined) return []
  const { name, port } = service
  const spec = services.get(`${namespace}/${name}`)?.spec
  if (spec === undefined) return [{ reason: 'MissingService', message: `there is no Service ${name}` }]
  // It need not name its ports.
  if (spec.type === 'ExternalName') return []
  const wanted = port?.name ?? port?.number
  if (spec.ports?.some(one => one.name === wanted || one.port === wanted)) return []
  return [{ reason: 'MissingPort', message: `Service ${name} has no port ${wanted ?? 'at all'}` }]
}
