/** What servers ask each other for a restore, over their join listeners and as servers: authorities are both sides'. */
import { bracketed } from '../../base/bracketed.ts'
import { type ErrorCode, errorCodes, Mk8sError } from '../../base/errors.ts'
import { HttpsTransport } from '../../client/https-transport.ts'
import { nodePaths } from '../../host/node-files.ts'
import { isMap } from '../../kube/json-map.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { loadPki } from '../pki/pki.ts'

const ANSWER_BYTES_MAX = 1024 * 1024
/** A name that every server's certificate has, whatever its address. */
const SERVER_NAME = 'kubernetes'

export interface ServerCalls {
  get(address: MemberAddress, path: string, limitMs: number): Promise<unknown>
  post(address: MemberAddress, path: string, body: object, limitMs: number): Promise<unknown>
}

/** With the certificates in the node's directory, read each time. Rejects with `api/unreachable`, `timeout`, or as the other side says. */
export function createServerCalls(dataDir: string): ServerCalls {
  const call = async (address: MemberAddress, parts: CallParts): Promise<unknown> => {
    const { authorities, leaves } = await loadPki(nodePaths(dataDir).pki)
    const { certificate, key } = leaves['apiserver-kubelet-client']
    const transport = new HttpsTransport({
      server: `https://${bracketed(address.host)}:${address.port}`,
      serverName: SERVER_NAME,
      caPem: authorities['cluster-ca'].certificate,
      certificatePem: certificate,
      keyPem: key,
    })
    try {
      return await send(transport, parts)
    } finally {
      transport.close()
    }
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

async function send(transport: HttpsTransport, { method, path, body, limitMs }: CallParts): Promise<unknown> {
  const signal = AbortSignal.timeout(limitMs)
  const [plainPath = '', query] = path.split('?')
  const response = await transport
    .request({
      ...{ method, path: plainPath, signal },
      ...(query !== undefined && { query: new URLSearchParams(query) }),
      ...(body !== null && {
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(body)),
      }),
    })
    .catch(error => {
      throw signal.aborted ? silent(limitMs) : error
    })
  const answer: unknown = JSON.parse(await readBody(response.body))
  if (response.status === 200) return answer
  throw refusalIn(answer, response.status)
}

async function readBody(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8')
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) throw new Mk8sError('api/unreachable', 'the answer is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const silent = (limitMs: number): Mk8sError =>
  new Mk8sError('timeout', 'the server does not answer', { why: `not within ${limitMs / 1000} s` })

function refusalIn(answer: unknown, status: number): Mk8sError {
  const error = isMap(answer) && isMap(answer['error']) ? answer['error'] : {}
  const text = (key: string) => (typeof error[key] === 'string' ? error[key] : '')
  const code = Object.hasOwn(errorCodes, text('code')) ? (text('code') as ErrorCode) : 'api/refused'
  const [why, hint] = [text('why'), text('hint')]
  return new Mk8sError(code, text('message') || `the server answered ${status}`, {
    ...(why !== '' && { why }),
    ...(hint !== '' && { hint }),
  })
}
