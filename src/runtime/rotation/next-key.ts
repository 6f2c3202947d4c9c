/**
 * How the key of the next authority, or the next one of a ring, gets from server to server: over the join listener,
 * by mutual TLS, to whoever shows the certificate of an API server and to nobody else. An administrator's certificate does not do.
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

const RING_KEY_PATH = '/v1/keys/ring'

/** `keysOf` has the keys of a ring by their names. */
export function ringKeyRoute(keysOf: (ring: string) => ReadonlyMap<string, string>): PeerRoute {
  return {
    method: 'GET',
    path: RING_KEY_PATH,
    clientName: API_SERVER_CLIENT,
    async handle({ query }) {
      const key = keysOf(query.get('ring') ?? '').get(query.get('name') ?? '')
      if (key === undefined) throw new Mk8sError('refused', 'this server has no such key')
      return { key }
    },
  }
}

export interface Asked {
  readonly servers: readonly MemberAddress[]
  readonly credentials: MemberCredentials
  readonly signal: AbortSignal
}

/** Asks the servers in turn. Rejects when none of them has it. */
export async function fetchNextKey(certificate: string, asked: Asked): Promise<PemPair> {
  const query = new URLSearchParams({ name: nameOfBundle([certificate]) })
  return { certificate, key: await askInTurn(NEXT_KEY_PATH, query, asked) }
}

/** As `fetchNextKey`. */
export function fetchRingKey(ring: string, name: string, asked: Asked): Promise<string> {
  return askInTurn(RING_KEY_PATH, new URLSearchParams({ ring, name }), asked)
}

async function askInTurn(path: string, query: URLSearchParams, asked: Asked): Promise<string> {
  let why = 'there is no other server'
  for (const server of asked.servers) {
    try {
      const signal = AbortSignal.any([asked.signal, AbortSignal.timeout(ANSWER_MS_MAX)])
      const question = { method: 'GET', path, query, signal }
      const { status, answer } = await askServer(server, asked.credentials, question)
      const key = isMap(answer) ? answer['key'] : undefined
      if (status === 200 && typeof key === 'string') return key
      why = `the server at ${server.host} answered ${status}`
    } catch (error) {
      why = messageOf(error)
    }
  }
  throw new Mk8sError('api/unreachable', 'no server hands out the next key', { why })
}
