/** Documents that seldom change: an ETag tells the client to keep what it has. */

import { createHash } from 'node:crypto'
import type { KubeResponse } from '../../../client/transport.ts'
import type { IncomingRequest } from '../authenticated-request.ts'

export function taggedResponse(request: IncomingRequest, body: Buffer, type: string): KubeResponse {
  const etag = `"${createHash('sha256').update(body).digest('hex').toUpperCase()}"`
  const headers = { 'content-type': type, 'cache-control': 'public', etag, vary: 'Accept' }
  if (request.headers['if-none-match'] === etag) return { status: 304, headers, body: Buffer.alloc(0) }
  return { status: 200, headers, body }
}
