/** Ingresses, their classes, and network policies. */
import type { FieldError } from '../../../../kube/field-error.ts'
import type { Ingress, IngressClass, NetworkPolicy } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, selectorText, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkImmutable } from '../validation/workload.ts'
import { checkIngress, checkIngressClass, checkIngressStatus, checkNewIngress } from './ingress-rules.ts'
import { checkPolicy } from './policy-rules.ts'

const HOSTS_SHOWN_MAX = 3
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'

type IngressSpec = NonNullable<Ingress['spec']>

function hostsText(spec: IngressSpec | undefined): string {
  const hosts = [...new Set((spec?.rules ?? []).map(rule => rule.host || '*'))]
  if (hosts.length === 0) return '*'
  const shown = hosts.slice(0, HOSTS_SHOWN_MAX).join(',')
  return hosts.length > HOSTS_SHOWN_MAX ? `${shown} + ${hosts.length - HOSTS_SHOWN_MAX} more...` : shown
}

export const ingresses: Strategy = defineKind({
  group: 'networking.k8s.io',
  resource: 'ingresses',
  hasStatus: true,
  hasGeneration: true,
  prepareForCreate: object => {
    object['status'] = { loadBalancer: {} }
  },
  validate: object => checkIngress(asKind<Ingress>(object).spec),
  validateCreate: object => checkNewIngress(asKind<Ingress>(object)),
  validateStatusUpdate: next => checkIngressStatus(asKind<Ingress>(next)),
  table: tableOf<Ingress>(
    [
      nameColumn,
      column('Class', 'Class of the ingress'),
      column('Hosts', 'Hosts it answers for'),
      column('Address', 'Addresses it is reached at'),
      column('Ports', 'Ports it is reached at'),
      ageColumn,
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      spec?.ingressClassName ?? metadata.annotations?.[CLASS_ANNOTATION] ?? NONE,
      hostsText(spec),
      (status?.loadBalancer?.ingress ?? []).map(item => item.ip || item.hostname || '').join(','),
      (spec?.tls ?? []).length > 0 ? '80, 443' : '80',
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const ingressClasses: Strategy = defineKind({
  group: 'networking.k8s.io',
  resource: 'ingressclasses',
  hasGeneration: true,
  applyDefaults(object) {
    const parameters = asKind<IngressClass>(object).spec?.parameters
    if (parameters && !parameters.scope) parameters.scope = 'Cluster'
  },
  validate: object => checkIngressClass(asKind<IngressClass>(object).spec),
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const before = asKind<IngressClass>(previous).spec?.controller
    checkImmutable(out, 'spec.controller', asKind<IngressClass>(next).spec?.controller, before)
    return out
  },
  table: tableOf<IngressClass>(
    [
      nameColumn,
      column('Controller', 'Who serves ingresses of the class'),
      column('Parameters', 'Where the settings of the class are'),
      ageColumn,
    ],
    ({ metadata, spec }, nowMs) => {
      const parameters = spec?.parameters
      const kind = parameters?.apiGroup ? `${parameters.kind}.${parameters.apiGroup}` : parameters?.kind
      return [
        metadata.name ?? '',
        spec?.controller ?? '',
        parameters ? `${kind}/${parameters.name}` : NONE,
        since(metadata.creationTimestamp, nowMs),
      ]
    },
  ),
})

export const networkPolicies: Strategy = defineKind({
  group: 'networking.k8s.io',
  resource: 'networkpolicies',
  hasGeneration: true,
  applyDefaults(object) {
    const { spec } = asKind<NetworkPolicy>(object)
    if (!spec) return
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
    }
    if ((spec.policyTypes ?? []).length > 0) return
    spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
  },
  ratchets: true,
  validateCreate: object => checkPolicy(asKind<NetworkPolicy>(object).spec),
  validateUpdate: (next, previous) =>
    checkPolicy(asKind<NetworkPolicy>(next).spec, asKind<NetworkPolicy>(previous).spec),
  table: tableOf<NetworkPolicy>(
    [nameColumn, column('Pod-Selector', 'Pods that the policy holds for'), ageColumn],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      selectorText(spec?.podSelector),
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
