/**
 * pods/exec, pods/attach and pods/portforward: who may, which container, and then the raw connection to the kubelet
 * of the pod's node. The protocols that run over it, websocket and SPDY, end at the kubelet.
 */
import type { KubeResponse } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, forbiddenRequest, notFound } from '../../../kube/status.ts'
import { admitBody } from '../requests/admit-body.ts'
import type { RequestScope } from '../requests/scope.ts'
import { podContainer, podSpecOf } from './pod-container.ts'

/** What the kubelet needs of the client's headers; who the client is stays here. */
const PASSED_ON = [
  'connection',
  'upgrade',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'x-stream-protocol-version',
]

const kinds: Readonly<Record<string, string>> = {
  exec: 'PodExecOptions',
  attach: 'PodAttachOptions',
  portforward: 'PodPortForwardOptions',
}

export const isPodConnection = (subresource: string): boolean => Object.hasOwn(kinds, subresource)

interface StreamOptions {
  readonly container: string
  readonly command: readonly string[]
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
  readonly ports: readonly number[]
}

export async function connectPod(scope: RequestScope): Promise<KubeResponse> {
  const { context, info } = scope
  await authorizeWebsocket(scope)
  await context.store.barrier(scope.signal)
  const pod = context.objects.get('', 'pods', info.namespace, info.name)
  if (pod === null) throw notFound(scope.resource.info, info.name)
  const options = parseOptions(scope.query)
  await admit(scope, options)
  const path = kubeletPath(scope, pod, options)
  const { nodeName } = podSpecOf(pod)
  if (!nodeName) throw badRequest(`pod ${info.name} does not have a host assigned`)
  if (scope.headers['upgrade'] === undefined) throw badRequest('Upgrade request required')
  const headers: Record<string, string> = {}
  for (const name of PASSED_ON) {
    const value = scope.headers[name]
    if (value !== undefined) headers[name] = value
  }
  return context.kubelets.connect(nodeName).request({
    method: scope.method,
    path,
    query: kubeletQuery(info.subresource, options),
    headers,
    signal: scope.signal,
  })
}

/** A websocket begins with GET, but changes things all the same: it needs the right to create as well. */
async function authorizeWebsocket(scope: RequestScope): Promise<void> {
  const { info, user, context } = scope
  if (info.verb === 'create' || scope.headers['upgrade']?.toLowerCase() !== 'websocket') return
  const attributes = { ...info, user, verb: 'create' }
  const decision = await context.authorizer.authorize(attributes)
  if (!decision.allowed) throw forbiddenRequest(attributes, decision.reason)
}

async function admit(scope: RequestScope, options: StreamOptions): Promise<void> {
  const { info } = scope
  const { ports, ...streams } = options
  const fields = info.subresource === 'portforward' ? { ports } : streams
  const object = { apiVersion: 'v1', kind: kinds[info.subresource] ?? '', metadata: {}, ...fields }
  await admitBody(scope, object as unknown as KubeObject, false, 'CONNECT')
}

function kubeletPath({ info }: RequestScope, pod: KubeObject, options: StreamOptions): string {
  const place = `${info.namespace}/${info.name}`
  if (info.subresource === 'portforward') return `/portForward/${place}`
  return `/${info.subresource}/${place}/${podContainer(pod, options.container)}`
}

function parseOptions(query: URLSearchParams): StreamOptions {
  const isSet = (name: string): boolean => {
    const value = query.get(name)
    return value !== null && value !== '0' && value.toLowerCase() !== 'false'
  }
  return {
    container: query.get('container') ?? '',
    command: query.getAll('command'),
    stdin: isSet('stdin'),
    stdout: isSet('stdout'),
    stderr: isSet('stderr'),
    tty: isSet('tty'),
    ports: query.getAll('ports').map(Number),
  }
}

/** The same in the kubelet's words. */
function kubeletQuery(subresource: string, options: StreamOptions): URLSearchParams {
  const query = new URLSearchParams()
  if (subresource === 'portforward') {
    if (options.ports.length > 0) query.set('port', options.ports.join(','))
    return query
  }
  const streams = { input: options.stdin, output: options.stdout, error: options.stderr, tty: options.tty }
  for (const [name, isWanted] of Object.entries(streams)) if (isWanted) query.set(name, '1')
  if (subresource === 'exec') for (const word of options.command) query.append('command', word)
  return query
}
