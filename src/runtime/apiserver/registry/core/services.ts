/** Services. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { checkDns1123Label } from '../../../../kube/names.ts'
import type { Service } from '../../../../kube/types.ts'
import { ageColumn, column, labelsText, NONE, nameColumn, since, tableOf, UNKNOWN, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import {
  checkOtherNetworks,
  checkService,
  checkServiceStatus,
  checkServiceUpdate,
} from '../validation/service.ts'
import { claimForService } from './service-claims.ts'
import { defaultFamilies, defaultService, keepAllocated } from './service-defaults.ts'
import { familiesOf } from './service-families.ts'

const table = tableOf<Service>(
  [
    nameColumn,
    column('Type', 'How the service is exposed'),
    column('Cluster-IP', 'Address of the service inside the cluster'),
    column('External-IP', 'Addresses at which others reach the service'),
    column('Port(s)', 'Ports, with the node port behind the colon, and protocol'),
    ageColumn,
    wide('Selector', 'Labels of the pods that serve'),
  ],
  (service, nowMs) => [
    service.metadata.name ?? '',
    service.spec?.type ?? '',
    service.spec?.clusterIPs?.[0] || service.spec?.clusterIP || NONE,
    externalAddress(service),
    portsText(service),
    since(service.metadata.creationTimestamp, nowMs),
    labelsText(service.spec?.selector),
  ],
)

function externalAddress(service: Service): string {
  const external = service.spec?.externalIPs ?? []
  if (service.spec?.type === 'ExternalName') return service.spec.externalName || NONE
  if (service.spec?.type === 'LoadBalancer') {
    const ingress = (service.status?.loadBalancer?.ingress ?? []).map(item => item.ip || item.hostname || '')
    const all = [...ingress.filter(text => text !== ''), ...external]
    return all.length > 0 ? all.join(',') : '<pending>'
  }
  if (!service.spec?.type) return UNKNOWN
  return external.length > 0 ? external.join(',') : NONE
}

function portsText(service: Service): string {
  const ports = service.spec?.ports ?? []
  if (ports.length === 0) return NONE
  return ports
    .map(port => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`)
    .join(',')
}

export const services: Strategy = defineKind({
  group: '',
  resource: 'services',
  hasStatus: true,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  applyDefaults: object => defaultService(asKind<Service>(object)),
  prepareForCreate(object, context) {
    object['status'] = { loadBalancer: {} }
    defaultFamilies(asKind<Service>(object), null, familiesOf(context.settings))
  },
  prepareForUpdate(next, previous, context) {
    const service = asKind<Service>(next)
    keepAllocated(service, asKind<Service>(previous))
    defaultFamilies(service, asKind<Service>(previous), familiesOf(context.settings))
  },
  validate(object, settings) {
    const out: FieldError[] = []
    checkService(out, asKind<Service>(object), familiesOf(settings))
    return out
  },
  validateCreate: object => checkOtherNetworks(asKind<Service>(object)),
  validateUpdate(next, previous) {
    const out: FieldError[] = [...checkOtherNetworks(asKind<Service>(next), asKind<Service>(previous))]
    checkServiceUpdate(out, asKind<Service>(next), asKind<Service>(previous))
    return out
  },
  validateStatusUpdate(next) {
    const out: FieldError[] = []
    checkServiceStatus(out, asKind<Service>(next))
    return out
  },
  claim: (object, previous, pool, context) =>
    claimForService(
      asKind<Service>(object),
      previous === null ? null : asKind<Service>(previous),
      pool,
      context,
    ),
  selectableFields(object) {
    const { spec } = asKind<Service>(object)
    return { 'spec.clusterIP': spec?.clusterIP ?? '', 'spec.type': spec?.type ?? '' }
  },
  validateName: name => checkDns1123Label(name)[0] ?? null,
  table,
})
