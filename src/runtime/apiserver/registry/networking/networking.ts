/** Ingresses, their classes, and network policies. */
import { isIP } from 'node:net'
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { Ingress, IngressClass, NetworkPolicy } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, selectorText, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { CIDR_PROBLEM, isCidr } from '../validation/addresses.ts'
import { checkEach, checkOneOf, checkSelector } from '../validation/meta.ts'
import { checkImmutable } from '../validation/workload.ts'

const HOSTS_SHOWN_MAX = 3
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'

type IngressSpec = NonNullable<Ingress['spec']>
type Backend = NonNullable<IngressSpec['defaultBackend']>
type Path = NonNullable<NonNullable<NonNullable<IngressSpec['rules']>[number]['http']>['paths']>[number]

function checkBackend(out: FieldError[], field: string, backend: Backend | undefined): void {
  const { service, resource } = backend ?? {}
  if (service && resource) {
    out.push(invalid(field, '', 'cannot set both resource and service backends'))
  } else if (resource) {
    if (!resource.kind) out.push(required(`${field}.resource.kind`))
    if (!resource.name) out.push(required(`${field}.resource.name`))
  } else if (!service) {
    out.push(required(field, 'must specify a service or a resource backend'))
  } else {
    if (!service.name) out.push(required(`${field}.service.name`))
    const { name, number } = service.port ?? {}
    if (name && number) out.push(invalid(field, '', 'cannot set both port name & port number'))
    else if (!name && !number) out.push(required(field, 'port name or number is required'))
  }
}

function checkPath(out: FieldError[], field: string, path: Path): void {
  if (!path.pathType) {
    out.push(required(`${field}.pathType`, 'pathType must be specified'))
  } else {
    const types = ['Exact', 'ImplementationSpecific', 'Prefix']
    checkOneOf(out, `${field}.pathType`, path.pathType, types)
    if (path.pathType !== 'ImplementationSpecific' && !(path.path ?? '').startsWith('/')) {
      out.push(invalid(`${field}.path`, path.path ?? '', 'must be an absolute path'))
    }
  }
  checkBackend(out, `${field}.backend`, path.backend)
}

function validateIngress(spec: IngressSpec | undefined): readonly FieldError[] {
  const out: FieldError[] = []
  const rules = spec?.rules ?? []
  if (rules.length === 0 && !spec?.defaultBackend) {
    out.push(invalid('spec', rules, 'either `defaultBackend` or `rules` must be specified'))
  }
  if (spec?.defaultBackend) checkBackend(out, 'spec.defaultBackend', spec.defaultBackend)
  for (const [index, rule] of rules.entries()) {
    const field = at('spec.rules', index)
    const host = rule.host ?? ''
    if (host !== '') {
      if (isIP(host) > 0) {
        out.push(invalid(`${field}.host`, host, 'must be a DNS name, not an IP address'))
      }
      checkEach(out, `${field}.host`, host, checkDns1123Subdomain(host.replace(/^\*\./, '')))
    }
    if (rule.http && (rule.http.paths ?? []).length === 0) out.push(required(`${field}.http.paths`))
    for (const [position, path] of (rule.http?.paths ?? []).entries()) {
      checkPath(out, at(`${field}.http.paths`, position), path)
    }
  }
  return out
}

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
  validate: object => validateIngress(asKind<Ingress>(object).spec),
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
  validate(object) {
    const { spec } = asKind<IngressClass>(object)
    return spec?.controller ? [] : [required('spec.controller')]
  },
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

type PolicySpec = NonNullable<NetworkPolicy['spec']>
type Ports = NonNullable<PolicySpec['ingress']>[number]['ports']
type Peers = NonNullable<PolicySpec['egress']>[number]['to']

/** The types call the field `_from`; on the wire it is `from`. */
interface PolicyRule {
  ports?: Ports
  from?: Peers
  to?: Peers
}

function checkPolicyRule(out: FieldError[], field: string, rule: PolicyRule, side: 'from' | 'to'): void {
  for (const [index, port] of (rule.ports ?? []).entries()) {
    checkOneOf(out, `${at(`${field}.ports`, index)}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP'])
  }
  for (const [index, peer] of (rule[side] ?? []).entries()) {
    const path = at(`${field}.${side}`, index)
    if (Object.keys(peer).length === 0) out.push(required(path, 'must specify a peer'))
    checkSelector(out, `${path}.podSelector`, peer.podSelector)
    checkSelector(out, `${path}.namespaceSelector`, peer.namespaceSelector)
    if (!peer.ipBlock) continue
    if (peer.podSelector || peer.namespaceSelector) {
      out.push(forbidden(path, 'may not specify both ipBlock and another peer'))
    }
    if (!isCidr(peer.ipBlock.cidr ?? ''))
      out.push(invalid(`${path}.ipBlock.cidr`, peer.ipBlock.cidr, CIDR_PROBLEM))
  }
}

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
  validate(object) {
    const { spec } = asKind<NetworkPolicy>(object)
    const out: FieldError[] = []
    checkSelector(out, 'spec.podSelector', spec?.podSelector)
    for (const [index, rule] of (spec?.ingress ?? []).entries()) {
      checkPolicyRule(out, at('spec.ingress', index), rule as PolicyRule, 'from')
    }
    for (const [index, rule] of (spec?.egress ?? []).entries()) {
      checkPolicyRule(out, at('spec.egress', index), rule, 'to')
    }
    for (const [index, type] of (spec?.policyTypes ?? []).entries()) {
      checkOneOf(out, at('spec.policyTypes', index), type, ['Egress', 'Ingress'])
    }
    return out
  },
  table: tableOf<NetworkPolicy>(
    [nameColumn, column('Pod-Selector', 'Pods that the policy holds for'), ageColumn],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      selectorText(spec?.podSelector),
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
