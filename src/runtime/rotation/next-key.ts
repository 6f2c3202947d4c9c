/**
 * How the next authority's key gets from server to server: over the join listener, by mutual TLS, to whoever shows
 * the certificate of an API server and to nobody else. An administrator's certificate does not do.
 */
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { askServer } from '../../client/server-call.ts'
import { isMap } from '../../kube/json-map.ts'
import type { PeerRoute } from '../join/peer-listener.ts'
import type { MemberCredentials } from '../members/member-client.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { API_SERVER_CLIENT } from '../pki/authorities.ts'
import type { PemPair } from '../pki/issue.ts'
import { nameOfBundle } from '../pki/validity.ts'

export const NEXT_KEY_PATH = '/v1/authority/next'
/** One that does not answer must not keep this one from asking the next. */
const ANSWER_MS_MAX = 2_000

/** `next` has the pairs that this server signs with, or is to sign with; none where it is not here. */
export function nextKeyRoute(next: () => Promise<readonly PemPair[]>): PeerRoute {
  return {
    method: 'GET',
    path: NEXT_KEY_PATH,
    clientName: API_SERVER_CLIENT,
    async handle({ query }) {
      const wanted = query.get('name')
      const found = (await next()).find(({ certificate }) => nameOfBundle([certificate]) === wanted)
      if (found === undefined) throw new Mk8sError('refused', 'this server has no such authority')
      return { key: found.key }
    },
  }
}

/** Asks the servers in turn. Rejects when none of them has it. */
export async function fetchNextKey(
  certificate: string,
  servers: readonly MemberAddress[],
  credentials: MemberCredentials,
  signal: AbortSignal,
): Promise<PemPair> {
  let why = 'there is no other server'
  for (const server of servers) {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)])
      return { certificate, key: await ask(server, certificate, credentials, limit) }
    } catch (error) {
      why = messageOf(error)
    }
  }
  throw new Mk8sError('api/unreachable', 'no server hands out the key of the next authority', { why })
}

async function ask(
  address: MemberAddress,
  certificate: string,
  credentials: MemberCredentials,
  signal: AbortSignal,
): Promise<string> {
  const query = new URLSearchParams({ name: nameOfBundle([certificate]) })
  const question = { method: 'GET', path: NEXT_KEY_PATH, query, signal }
  const { status, answer } = await askServer(address, credentials, question)
  const key = isMap(answer) ? answer['key'] : undefined
  if (status !== 200 || typeof key !== 'string')
    throw new Mk8sError('api/unreachable', `the server at ${address.host} answered ${status}`)
  return key
}
