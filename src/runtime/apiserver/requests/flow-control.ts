/** Lets a request run when priority and fairness give it seats, and says in the answer whose flow it was. */

import type { KubeResponse, PushedBody } from '../../../client/transport.ts'
import type { AuthenticatedRequest } from '../authenticated-request.ts'
import type { ApiContext } from '../context.ts'
import type { Leave } from '../fairness/fairness.ts'
import { collectionPrefix } from '../storage/served-resource.ts'
import type { UserInfo } from '../user.ts'
import type { RequestInfo } from './request-info.ts'

export interface Governed {
  readonly request: AuthenticatedRequest
  /** Whom the request is made as. */
  readonly user: UserInfo
  readonly info: RequestInfo
  readonly query: URLSearchParams
  readonly signal: AbortSignal
}

/** `fail` makes an answer of what `run` throws, so that a failure says whose flow it was as well. */
export async function whenItIsItsTurn(
  context: ApiContext,
  governed: Governed,
  run: () => Promise<KubeResponse>,
  fail: (error: unknown) => KubeResponse,
): Promise<KubeResponse> {
  const { user, info, query, signal, request } = governed
  const admission = context.fairness.admit(user, info, () => listPrefix(context, info), query)
  let response: KubeResponse
  try {
    const entering = admission.enter(signal)
    const leave = entering instanceof Promise ? await waitedFor(context, request, entering) : entering
    try {
      response = await run()
    } catch (error) {
      leave()
      throw error
    }
    response = whileSent(response, info, request.signal, leave)
  } catch (error) {
    response = fail(error)
  }
  return { ...response, headers: { ...response.headers, ...admission.headers } }
}

async function waitedFor(
  { clock }: ApiContext,
  { waits }: AuthenticatedRequest,
  entering: Promise<Leave>,
): Promise<Leave> {
  const begun = clock.monotonic()
  try {
    return await entering
  } finally {
    if (waits !== undefined) waits.ms += clock.monotonic() - begun
  }
}

function listPrefix({ resources }: ApiContext, info: RequestInfo): string | null {
  if (info.verb !== 'list') return null
  const resource = resources.find(info.group, info.version, info.resource)
  return resource === undefined ? null : collectionPrefix(resource, info.namespace)
}

/** A long list keeps its seats until it is sent or nobody waits for it any more; a watch only until it has begun. */
function whileSent(
  response: KubeResponse,
  { verb }: RequestInfo,
  gone: AbortSignal | undefined,
  leave: Leave,
): KubeResponse {
  const { body } = response
  if (verb !== 'list' || body instanceof Uint8Array || gone === undefined || gone.aborted) {
    leave()
    return response
  }
  gone.addEventListener('abort', leave, { once: true })
  return { ...response, body: untilSent(body, leave) }
}

/** The same body, which calls `leave` when it is sent or nobody wants it any more. */
export function untilSent(
  body: AsyncIterable<Uint8Array> | PushedBody,
  leave: () => void,
): AsyncIterable<Uint8Array> {
  const iterate = async function* () {
    try {
      yield* body
    } finally {
      leave()
    }
  }
  if (!('pushTo' in body)) return iterate()
  const pushed: PushedBody = {
    [Symbol.asyncIterator]: iterate,
    pushTo: sink => body.pushTo(sink).finally(leave),
  }
  return pushed
}
