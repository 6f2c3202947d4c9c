/** Asks other servers over their join listeners, as a server does: with a certificate of the cluster authority. */
import { bracketed } from '../../base/bracketed.ts'
import { Mk8sError } from '../../base/errors.ts'
import { HttpsTransport } from '../../client/https-transport.ts'
import type { Transport } from '../../client/transport.ts'
import { MEMBER_PATH, type MemberAnswer } from './member-answer.ts'
import type { MemberAddress, MemberRecord } from './member-record.ts'
import { MOVED_PATH, type Move } from './moved-member.ts'

const ANSWER_BYTES_MAX = 1024 * 1024
/** A name that every server's certificate has, whatever its address. */
const SERVER_NAME = 'kubernetes'

export interface MemberCredentials {
  readonly caPem: string
  readonly certificatePem: string
  readonly keyPem: string
}

export interface MemberClient {
  /** Rejects when there is no answer, or none that makes sense. */
  ask(record: Pick<MemberRecord, 'id' | 'joinAddress'>, signal: AbortSignal): Promise<MemberAnswer>
  /** Where this server is found now; rejects when the other one cannot have it written down. */
  tellMove(record: Pick<MemberRecord, 'joinAddress'>, move: Move, signal: AbortSignal): Promise<void>
}

/** The credentials are asked for each time, so that renewed ones are put to use. */
export function createMemberClient(credentials: () => MemberCredentials): MemberClient {
  const withTransport = async <T>(
    { host, port }: MemberAddress,
    use: (transport: Transport) => Promise<T>,
  ) => {
    const transport = new HttpsTransport({
      server: `https://${bracketed(host)}:${port}`,
      serverName: SERVER_NAME,
      ...credentials(),
    })
    try {
      return await use(transport)
    } finally {
      transport.close()
    }
  }
  return {
    ask: ({ id, joinAddress }, signal) => withTransport(joinAddress, transport => ask(transport, id, signal)),
    tellMove: ({ joinAddress }, move, signal) =>
      withTransport(joinAddress, transport => tellMove(transport, move, signal)),
  }
}

async function tellMove(transport: Transport, move: Move, signal: AbortSignal): Promise<void> {
  const body = Buffer.from(JSON.stringify(move))
  const headers = { 'content-type': 'application/json' }
  const response = await transport.request({ method: 'POST', path: MOVED_PATH, headers, body, signal })
  const text = await readBody(response.body)
  if (response.status !== 200)
    throw new Mk8sError('api/unreachable', `the server answered ${response.status}`, {
      why: text.slice(0, 200),
    })
}

async function ask(transport: Transport, id: number, signal: AbortSignal): Promise<MemberAnswer> {
  const response = await transport.request({ method: 'GET', path: MEMBER_PATH, signal })
  const text = await readBody(response.body)
  if (response.status !== 200)
    throw new Mk8sError('api/unreachable', `the server answered ${response.status}`, {
      why: text.slice(0, 200),
    })
  const answer = JSON.parse(text) as MemberAnswer
  if (answer.id !== id) throw new Mk8sError('api/unreachable', 'another server answers at this address')
  return answer
}

async function readBody(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8')
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) throw new Error('the answer is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
