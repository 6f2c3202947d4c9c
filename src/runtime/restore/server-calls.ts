/** What servers ask each other for a restore, over their join listeners and as servers: authorities are both sides'. */
import { Mk8sError } from '../../base/errors.ts'
import { askServer, refusalIn, type ServerCredentials } from '../../client/server-call.ts'
import { nodePaths } from '../../host/node-files.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { loadPki } from '../pki/pki.ts'

export interface ServerCalls {
  get(address: MemberAddress, path: string, limitMs: number): Promise<unknown>
  post(address: MemberAddress, path: string, body: object, limitMs: number): Promise<unknown>
}

/** With the certificates in the node's directory, read each time. Rejects with `api/unreachable`, `timeout`, or as the other side says. */
export function createServerCalls(dataDir: string): ServerCalls {
  const call = async (address: MemberAddress, parts: CallParts): Promise<unknown> => {
    const { authorities, leaves } = await loadPki(nodePaths(dataDir).pki)
    const { certificate, key } = leaves['apiserver-kubelet-client']
    const credentials = {
      caPem: authorities['cluster-ca'].certificate,
      certificatePem: certificate,
      keyPem: key,
    }
    return await send(address, credentials, parts)
  }
  return {
    get: (address, path, limitMs) => call(address, { method: 'GET', path, body: null, limitMs }),
    post: (address, path, body, limitMs) => call(address, { method: 'POST', path, body, limitMs }),
  }
}

interface CallParts {
  readonly method: string
  readonly path: string
  readonly body: object | null
  readonly limitMs: number
}

async function send(
  address: MemberAddress,
  credentials: ServerCredentials,
  { method, path, body, limitMs }: CallParts,
): Promise<unknown> {
  const signal = AbortSignal.timeout(limitMs)
  const [plainPath = '', query] = path.split('?')
  const answered = await askServer(address, credentials, {
    ...{ method, path: plainPath, signal },
    ...(query !== undefined && { query: new URLSearchParams(query) }),
    ...(body !== null && { body }),
  }).catch(error => {
    throw signal.aborted ? silent(limitMs) : error
  })
  if (answered.status === 200) return answered.answer
  throw refusalIn(answered)
}

const silent = (limitMs: number): Mk8sError =>
  new Mk8sError('timeout', 'the server does not answer', { why: `not within ${limitMs / 1000} s` })
