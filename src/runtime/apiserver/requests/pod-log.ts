/** pods/log: asked of the kubelet of the pod's node and passed on as it comes. */
import type { KubeResponse } from '../../../client/transport.ts'
import { badRequest, internalError, notFound, StatusError } from '../../../kube/status.ts'
import { podContainer, podSpecOf } from '../streaming/pod-container.ts'
import type { RequestScope } from './scope.ts'

const PASSED_ON = [
  'follow',
  'previous',
  'sinceSeconds',
  'sinceTime',
  'timestamps',
  'tailLines',
  'limitBytes',
  'stream',
  'insecureSkipTLSVerifyBackend',
]

export async function podLog(scope: RequestScope): Promise<KubeResponse> {
  const { context, info } = scope
  await context.store.barrier(scope.signal)
  const pod = context.objects.get('', 'pods', info.namespace, info.name)
  if (pod === null) throw notFound(scope.resource.info, info.name)
  const container = podContainer(pod, scope.query.get('container') ?? '')
  const { nodeName } = podSpecOf(pod)
  if (!nodeName) {
    return { status: 200, headers: { 'content-type': 'text/plain' }, body: new Uint8Array() }
  }
  const query = new URLSearchParams()
  for (const name of PASSED_ON) {
    const value = scope.query.get(name)
    if (value !== null) query.set(name, value)
  }
  const answer = await context.kubelets.connect(nodeName).request({
    method: 'GET',
    path: `/containerLogs/${info.namespace}/${info.name}/${container}`,
    query,
    signal: scope.signal,
  })
  if (answer.status >= 400) throw await refused(answer)
  return answer
}

const REASON_BYTES_MAX = 2048

/** The kubelet's refusal, which is plain text, as a Status. */
async function refused(answer: KubeResponse): Promise<StatusError> {
  let text = ''
  const pieces = answer.body instanceof Uint8Array ? [answer.body] : answer.body
  for await (const piece of pieces) {
    text += Buffer.from(piece).toString('utf8')
    if (text.length >= REASON_BYTES_MAX) break
  }
  const message = text.slice(0, REASON_BYTES_MAX).trim()
  const { status } = answer.status >= 500 ? internalError(new Error(message)) : badRequest(message)
  if (answer.status >= 500) return new StatusError(status)
  const reason = answer.status === 404 ? 'NotFound' : 'BadRequest'
  return new StatusError({ ...status, reason, code: answer.status })
}
