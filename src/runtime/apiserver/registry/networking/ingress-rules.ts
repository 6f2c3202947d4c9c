/** What holds for an Ingress and an IngressClass. */

import { parseAddress } from '../../../../kube/cidr.ts'
import {
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
} from '../../../../kube/field-error.ts'
import {
  checkDns1123Label,
  checkDns1123Subdomain,
  checkDomainPrefixedPath,
  checkPathSegmentName,
  checkPortName,
  checkPortNumber,
  checkWildcardSubdomain,
} from '../../../../kube/names.ts'
import type { Ingress, IngressClass } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { ipProblems } from '../validation/addresses.ts'
import { checkEach, type Problems } from '../validation/meta.ts'

type IngressSpec = NonNullable<Ingress['spec']>
type Backend = NonNullable<IngressSpec['defaultBackend']>
type Rule = NonNullable<IngressSpec['rules']>[number]
type Path = NonNullable<NonNullable<Rule['http']>['paths']>[number]
type Tls = NonNullable<IngressSpec['tls']>[number]

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'
const CONTROLLER_MAX = 250
const PATH_TYPES = ['Exact', 'ImplementationSpecific', 'Prefix']
const SEQUENCES = ['//', '/./', '/../', '%2f', '%2F']
const SUFFIXES = ['/..', '/.']
const NO_ADDRESS = 'must be a DNS name, not an IP address'

export function checkIngress(spec: IngressSpec | undefined): readonly FieldError[] {
  const out: FieldError[] = []
  const rules = spec?.rules ?? []
  if (rules.length === 0 && !spec?.defaultBackend) {
    out.push(invalid('spec', spec?.rules, 'either `defaultBackend` or `rules` must be specified'))
  }
  if (spec?.defaultBackend) checkBackend(out, 'spec.defaultBackend', spec.defaultBackend)
  for (const [index, rule] of rules.entries()) checkRule(out, at('spec.rules', index), rule)
  for (const [index, tls] of (spec?.tls ?? []).entries()) checkTls(out, at('spec.tls', index), tls)
  const name = spec?.ingressClassName
  if (name !== undefined) checkEach(out, 'spec.ingressClassName', name, checkDns1123Subdomain(name))
  return out
}

/** The older annotation and the field may not disagree. */
export function checkNewIngress({ metadata, spec }: Ingress): readonly FieldError[] {
  const said = metadata.annotations?.[CLASS_ANNOTATION]
  const name = spec?.ingressClassName
  if (said === undefined || name === undefined || said === name) return []
  const detail = 'must match `ingressClassName` when both are specified'
  return [invalid(`annotations.${CLASS_ANNOTATION}`, said, detail)]
}

export function checkIngressStatus({ status }: Ingress): readonly FieldError[] {
  const out: FieldError[] = []
  for (const [index, { ip, hostname }] of (status?.loadBalancer?.ingress ?? []).entries()) {
    const field = at('status.loadBalancer.ingress', index)
    if (ip) checkEach(out, `${field}.ip`, ip, ipProblems(ip))
    if (!hostname) continue
    checkEach(out, `${field}.hostname`, hostname, checkDns1123Subdomain(hostname))
    if (parseAddress(hostname) !== null) out.push(invalid(`${field}.hostname`, hostname, NO_ADDRESS))
  }
  return out
}

const checkHostName = (host: string): readonly string[] =>
  host.includes('*') ? checkWildcardSubdomain(host) : checkDns1123Subdomain(host)

function checkRule(out: Problems, field: string, { host, http }: Rule): void {
  if (host) {
    if (parseAddress(host) !== null) out.push(invalid(`${field}.host`, host, NO_ADDRESS))
    checkEach(out, `${field}.host`, host, checkHostName(host))
  }
  if (!http) return
  const paths = http.paths ?? []
  if (paths.length === 0) out.push(required(`${field}.http.paths`))
  for (const [index, path] of paths.entries()) checkPath(out, at(`${field}.http.paths`, index), path)
}

function checkTls(out: Problems, field: string, { hosts, secretName }: Tls): void {
  for (const [index, host] of (hosts ?? []).entries()) {
    checkEach(out, at(`${field}.hosts`, index), host, checkHostName(host))
  }
  if (secretName) checkEach(out, `${field}.secretName`, secretName, checkDns1123Subdomain(secretName))
}

function checkPath(out: Problems, field: string, { path = '', pathType, backend }: Path): void {
  if (!pathType) {
    out.push(required(`${field}.pathType`, 'pathType must be specified'))
    return
  }
  if (!PATH_TYPES.includes(pathType)) out.push(notSupported(`${field}.pathType`, pathType, PATH_TYPES))
  else checkPathText(out, `${field}.path`, path, pathType === 'ImplementationSpecific')
  checkBackend(out, `${field}.backend`, backend)
}

/** What an implementation means by a path is its own business, but that it starts at the root. */
function checkPathText(out: Problems, field: string, path: string, isTheirs: boolean): void {
  if (!path.startsWith('/') && !(isTheirs && path === '')) {
    out.push(invalid(field, path, 'must be an absolute path'))
  }
  if (isTheirs) return
  for (const part of SEQUENCES) {
    if (path.includes(part)) out.push(invalid(field, path, `must not contain '${part}'`))
  }
  for (const part of SUFFIXES) {
    if (path.endsWith(part)) out.push(invalid(field, path, `cannot end with '${part}'`))
  }
}

function checkBackend(out: Problems, field: string, backend: Backend | undefined): void {
  const { service, resource } = backend ?? {}
  if (service && resource) {
    out.push(invalid(field, '', 'cannot set both resource and service backends'))
  } else if (resource) checkReference(out, `${field}.resource`, resource)
  else if (service) checkService(out, field, service)
  else out.push(invalid(field, '', 'resource or service backend is required'))
}

function checkService(out: Problems, field: string, { name, port }: NonNullable<Backend['service']>): void {
  if (!name) out.push(required(`${field}.service.name`))
  else checkEach(out, `${field}.service.name`, name, checkDns1123Label(name))
  const { name: portName, number } = port ?? {}
  if (portName && number) out.push(invalid(field, '', 'cannot set both port name & port number'))
  else if (portName) checkEach(out, `${field}.service.port.name`, portName, checkPortName(portName))
  else if (number) checkEach(out, `${field}.service.port.number`, number, checkPortNumber(number))
  else out.push(required(field, 'port name or number is required'))
}

interface Reference {
  apiGroup?: string
  kind?: string
  name?: string
}

function checkReference(out: Problems, field: string, reference: Reference): void {
  const { apiGroup } = reference
  if (apiGroup !== undefined) checkEach(out, `${field}.apiGroup`, apiGroup, checkDns1123Subdomain(apiGroup))
  for (const part of ['kind', 'name'] as const) {
    const value = reference[part] ?? ''
    if (value === '') out.push(required(`${field}.${part}`))
    else checkEach(out, `${field}.${part}`, value, checkPathSegmentName(value))
  }
}

export function checkIngressClass(spec: IngressClass['spec']): readonly FieldError[] {
  const out: FieldError[] = []
  const controller = spec?.controller ?? ''
  const field = 'spec.controller'
  if (controller === '') out.push(required(field))
  else {
    if (Buffer.byteLength(controller) > CONTROLLER_MAX) out.push(tooLong(field, CONTROLLER_MAX))
    for (const { part, problem } of checkDomainPrefixedPath(controller))
      out.push(invalid(field, part, problem))
  }
  if (spec?.parameters) checkParameters(out, 'spec.parameters', spec.parameters)
  return out
}

type Parameters = NonNullable<NonNullable<IngressClass['spec']>['parameters']>

function checkParameters(out: Problems, field: string, parameters: Parameters): void {
  checkReference(out, field, parameters)
  const { scope, namespace } = parameters
  const scopes = ['Cluster', 'Namespace']
  if (scope === undefined) out.push(required(`${field}.scope`))
  else if (!scopes.includes(scope)) out.push(notSupported(`${field}.scope`, scope, scopes))
  else if (scope === 'Cluster') {
    if (namespace === undefined) return
    out.push(forbidden(`${field}.namespace`, "`parameters.scope` is set to 'Cluster'"))
  } else if (namespace === undefined) {
    out.push(required(`${field}.namespace`, "`parameters.scope` is set to 'Namespace'"))
  } else checkEach(out, `${field}.namespace`, namespace, checkDns1123Label(namespace))
}
