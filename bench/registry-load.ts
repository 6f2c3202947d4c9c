/** Pushes one blob to a registry: `registry-load.ts PORT BYTES SEED`. Says how many seconds that took. */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { pipeline } from 'node:stream/promises'

const [port = 0, bytes = 0, seed = 0] = process.argv.slice(2).map(Number)
const PIECE_BYTES = 1024 * 1024

/** Different each time, and cheap to make: the digest is known before. */
const piece = createHash('shake256', { outputLength: PIECE_BYTES }).update(`${seed}`).digest()
const pieces = function* () {
  for (let at = 0; at < bytes; at += PIECE_BYTES) yield piece
}
const hash = createHash('sha256')
for (const each of pieces()) hash.update(each)
const path = `/v2/bench/blobs/uploads/?digest=sha256:${hash.digest('hex')}`

const begin = performance.now()
const pushing = request({
  port,
  path,
  host: '127.0.0.1',
  method: 'POST',
  headers: { 'content-length': bytes },
})
const answered = new Promise<number>((resolve, reject) => {
  pushing.once('error', reject)
  pushing.once('response', response => {
    response.resume()
    resolve(response.statusCode ?? 0)
  })
})
await pipeline(pieces, pushing)
const status = await answered
if (status !== 201) throw new Error(`the registry answers ${status}`)
process.stdout.write(String((performance.now() - begin) / 1_000))
