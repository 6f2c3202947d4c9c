/**
 * pods/proxy, services/proxy and nodes/proxy: an HTTP request, of any method, to what runs there. The name in the
 * path may say more than the object's: `[scheme:]name[:port]`.
 */
import { bracketed } from '../../../base/bracketed.ts'
import { messageOf } from '../../../base/errors.ts'
import type { KubeRequest, KubeResponse } from '../../../client/transport.ts'
import { nodeAddress } from '../../../kube/node-address.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, notFound, serviceUnavailable } from '../../../kube/status.ts'
import type { Node } from '../../../kube/types.ts'
import { admitBody } from '../requests/admit-body.ts'
import type { RequestScope } from '../requests/scope.ts'
import { endpointsOfPort } from '../webhooks/service-endpoint.ts'
import { forward, passedOn } from './forward.ts'
import { isProxyable } from './proxyable.ts'

const KUBELET_PORT = '10250'
const REDIRECT = 301
const PROXY_PATH = /^\/api\/v1\/(?:nodes|namespaces\/[^/]+\/(?:pods|services))\/[^/]+\/proxy(.*)$/

const kinds: Readonly<Record<string, string>> = {
  pods: 'PodProxyOptions',
  services: 'ServiceProxyOptions',
  nodes: 'NodeProxyOptions',
}

export const isProxied = (resource: string): boolean => Object.hasOwn(kinds, resource)

interface Target {
  readonly scheme: 'http' | 'https'
  readonly name: string
  /** A number or a port's name; empty: whatever is the obvious one. */
  readonly port: string
}

export async function connectProxy(scope: RequestScope): Promise<KubeResponse> {
  const { context, info, method } = scope
  const target = parseTarget(info.resource, info.name)
  const path = pathBehind(info.path)
  await context.store.barrier(scope.signal)
  const object = context.objects.get('', info.resource, info.namespace, target.name)
  if (object === null) throw notFound(scope.resource.info, target.name)
  const options = { apiVersion: 'v1', kind: kinds[info.resource] ?? '', metadata: {}, path }
  await admitBody(scope, options as unknown as KubeObject, false, 'CONNECT')
  if (path === '' && (method === 'GET' || method === 'HEAD')) return redirect(scope)
  const request = { ...requestOf(scope), path: path === '' ? '/' : path }
  if (info.resource === 'nodes' && (target.port === '' || target.port === KUBELET_PORT)) {
    return context.kubelets.connect(target.name).request(withoutHost(request))
  }
  const { host, port } = addressOf(scope, object, target)
  if (!isProxyable(host, context.settings.podCidr)) throw badRequest('address not allowed')
  const answer = await send(request, target.scheme, host, port)
  return { ...answer, headers: rewritten(answer.headers, info.path, path, host, port) }
}

/** Throws 400 for what is no `[scheme:]name[:port]`. */
function parseTarget(resource: string, text: string): Target {
  const parts = text.split(':')
  const [first = '', second = '', third = ''] = parts
  const [scheme, name, port] = parts.length === 3 ? [first, second, third] : ['', first, second]
  const isScheme = scheme === '' || scheme === 'http' || scheme === 'https'
  if (parts.length > 3 || name === '' || !isScheme) {
    throw badRequest(`invalid ${resource.slice(0, -1)} request ${JSON.stringify(text)}`)
  }
  // A node is the kubelet unless something else is said.
  const usual = resource === 'nodes' && (port === '' || port === KUBELET_PORT) ? 'https' : 'http'
  return { scheme: scheme === 'https' || scheme === 'http' ? scheme : usual, name, port }
}

/** What the path says behind `…/proxy`, as it was sent: with its slash, its encoding, or nothing. */
const pathBehind = (path: string): string => PROXY_PATH.exec(path)?.[1] ?? ''

function redirect({ info, query }: RequestScope): KubeResponse {
  const asked = query.toString()
  const location = `${info.path}/${asked === '' ? '' : `?${asked}`}`
  return { status: REDIRECT, headers: { location }, body: new Uint8Array() }
}

function requestOf({ method, headers, query, body, signal }: RequestScope): KubeRequest {
  return { method, path: '', query, headers, signal, ...(body === null ? {} : { body }) }
}

function withoutHost(request: KubeRequest): KubeRequest {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(passedOn(request))) headers[name] = String(value)
  return { ...request, headers }
}

interface PodPart {
  readonly spec?: {
    readonly containers?: readonly { readonly ports?: readonly { containerPort: number }[] }[]
  }
  readonly status?: { readonly podIP?: string }
}

interface ServicePart {
  readonly spec?: { readonly ports?: readonly { readonly name?: string; readonly port: number }[] }
}

function addressOf(
  scope: RequestScope,
  object: KubeObject,
  target: Target,
): { readonly host: string; readonly port: string } {
  switch (scope.info.resource) {
    case 'pods': {
      const { spec, status } = object as unknown as PodPart
      const first = spec?.containers?.flatMap(({ ports }) => ports ?? [])[0]?.containerPort
      if (!status?.podIP) throw badRequest(`pod ${target.name} has no address yet`)
      return { host: status.podIP, port: target.port || String(first ?? '') }
    }
    case 'nodes': {
      const address = nodeAddress(object as Node, 'InternalIP')
      if (address === undefined) throw badRequest(`node ${target.name} has no address`)
      return { host: address, port: target.port }
    }
    default:
      return serviceAddress(scope, object, target)
  }
}

function serviceAddress({ context, info }: RequestScope, object: KubeObject, { name, port }: Target) {
  const { ports = [] } = (object as unknown as ServicePart).spec ?? {}
  const isWanted = (one: { readonly name?: string; readonly port: number }) =>
    port === ''
      ? ports.length === 1 || (one.name ?? '') === ''
      : one.name === port || String(one.port) === port
  const found = ports.find(isWanted)
  if (found === undefined) {
    throw serviceUnavailable(
      `no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`,
    )
  }
  const ready = endpointsOfPort(context.objects, info.namespace, name, found.name ?? '')
  const chosen = ready[Math.floor(context.random.float() * ready.length)]
  if (chosen === undefined) {
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(info.name)}`)
  }
  return { host: chosen.host, port: String(chosen.port) }
}

async function send(
  request: KubeRequest,
  scheme: Target['scheme'],
  host: string,
  port: string,
): Promise<KubeResponse> {
  try {
    return await forward(request, {
      protocol: `${scheme}:`,
      host,
      ...(port === '' ? {} : { port }),
      // What runs there has no certificate that anybody here could check, as upstream sees it.
      rejectUnauthorized: false,
      agent: false,
      path: request.path,
      headers: { ...passedOn(request), host: port === '' ? bracketed(host) : `${bracketed(host)}:${port}` },
    })
  } catch (error) {
    throw serviceUnavailable(`error trying to reach service: ${messageOf(error)}`)
  }
}

/** A redirect to another place on the same server leads there through the proxy, too. */
function rewritten(
  headers: Readonly<Record<string, string>>,
  asked: string,
  path: string,
  host: string,
  port: string,
): Readonly<Record<string, string>> {
  const { location } = headers
  if (location === undefined) return headers
  const from = `http://${bracketed(host)}:${port || '80'}${path}`
  if (!URL.canParse(location, from)) return headers
  const to = new URL(location, from)
  if (to.hostname !== new URL(from).hostname) return headers
  const root = asked.slice(0, asked.length - path.length)
  return { ...headers, location: `${root}${to.pathname}${to.search}${to.hash}` }
}
