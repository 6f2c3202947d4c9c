/** Asks one extender: JSON by POST, over kept connections, within its time. */
import { request as httpRequest, Agent as PlainAgent } from 'node:http'
import { request as httpsRequest, Agent as SecureAgent } from 'node:https'
import { messageOf } from '../../base/errors.ts'
import { readBounded } from '../../base/read-bounded.ts'
import type { ExtenderConfig, ExtenderTls } from './extender-config.ts'

export interface ExtenderCaller {
  /** The JSON value of the answer; throws in the words of Go's HTTP client. */
  post(verb: string, body: unknown): Promise<unknown>
  close(): void
}

const ANSWER_BYTES_MAX = 64 * 1024 * 1024
const SOCKETS_MAX = 128
const IDLE_SOCKETS_MAX = 4
const OK = 200

export function createExtenderCaller({ urlPrefix, timeoutMs, tls }: ExtenderConfig): ExtenderCaller {
  const base = new URL(urlPrefix)
  if (tls !== null) base.protocol = 'https:'
  const pool = { keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: IDLE_SOCKETS_MAX }
  const agent = tls === null ? new PlainAgent(pool) : new SecureAgent({ ...pool, ...tlsOptions(tls) })
  return {
    async post(verb, body) {
      const url = `${base.href.replace(/\/+$/, '')}/${verb}`
      const signal = AbortSignal.timeout(Math.ceil(timeoutMs))
      const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
      const send = tls === null ? httpRequest : httpsRequest
      const bytes = Buffer.from(JSON.stringify(body))
      const headers = { 'content-type': 'application/json', 'content-length': String(bytes.length) }
      const outgoing = send(url, { agent, method: 'POST', headers, signal })
      outgoing.on('error', reject)
      outgoing.on('response', message => {
        readBounded(message, ANSWER_BYTES_MAX).then(
          answer => resolve({ status: message.statusCode ?? 0, text: answer.toString('utf8') }),
          reject,
        )
      })
      outgoing.end(bytes)
      const { status, text } = await promise.catch((error: unknown) => {
        const why = signal.aborted
          ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
          : messageOf(error)
        throw new Error(`Post ${JSON.stringify(url)}: ${why}`, { cause: error })
      })
      if (status !== OK) throw new Error(`failed ${verb} with extender at URL ${url}, code ${status}`)
      return JSON.parse(text)
    },
    close: () => agent.destroy(),
  }
}

const tlsOptions = ({ isInsecure, serverName, caPem, certificatePem, keyPem }: ExtenderTls) => ({
  rejectUnauthorized: !isInsecure,
  ...(caPem === '' ? {} : { ca: caPem }),
  ...(certificatePem === '' ? {} : { cert: certificatePem, key: keyPem }),
  ...(serverName === '' ? {} : { servername: serverName }),
})
