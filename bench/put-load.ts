/** Writers that put one key after the other, in process or over etcd's API, and how long each put took. */

import type { Store } from '../src/runtime/store/store.ts'
import { frame, GrpcClient } from '../test/support/grpc-client.ts'

const PUT = '/etcdserverpb.KV/Put'
const CONNECTIONS_MAX = 4

export interface Load {
  readonly writers: number
  readonly milliseconds: number
  readonly valueBytes: number
}

export interface Outcome {
  readonly puts: number
  readonly putsPerSecond: number
  readonly p99Ms: number
}

async function run(load: Load, put: (writer: number, count: number) => Promise<void>): Promise<Outcome> {
  const took: number[] = []
  const start = performance.now()
  const end = start + load.milliseconds
  const write = async (writer: number) => {
    for (let count = 0; performance.now() < end; count++) {
      const before = performance.now()
      await put(writer, count)
      took.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: load.writers }, (_, writer) => write(writer)))
  const seconds = (performance.now() - start) / 1000
  took.sort((a, b) => a - b)
  const p99Ms = took[Math.floor(took.length * 0.99)] ?? 0
  return { puts: took.length, putsPerSecond: took.length / seconds, p99Ms }
}

const keyOf = (writer: number, count: number) => `/load/${String(writer).padStart(4, '0')}/${count % 1000}`

export function loadStore(store: Store, load: Load): Promise<Outcome> {
  return run(load, async (writer, count) => {
    const value = Buffer.alloc(load.valueBytes, count & 0xff)
    const operations = [{ type: 'put' as const, key: keyOf(writer, count), value }]
    await store.transact({ compares: [], operations })
  })
}

export async function loadEndpoint(path: string, load: Load): Promise<Outcome> {
  const connections = Math.min(load.writers, CONNECTIONS_MAX)
  const clients = Array.from({ length: connections }, () => new GrpcClient({ path }))
  const value = Buffer.alloc(load.valueBytes, 'x')
  try {
    return await run(load, async (writer, count) => {
      const client = clients[writer % connections] as GrpcClient
      await putOver(client, keyOf(writer, count), value)
    })
  } finally {
    for (const client of clients) client.close()
  }
}

/** Rejects unless the server said that it is done. */
export function putOver(client: GrpcClient, key: string, value: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.open(PUT)
    let status = ''
    const look = (headers: object) => {
      status = (headers as Record<string, string>)['grpc-status'] ?? status
    }
    stream.on('response', look)
    stream.on('trailers', look)
    stream.on('error', reject)
    stream.on('close', () => {
      if (status === '0') resolve()
      else reject(new Error(`a put ended with the status ${status}`))
    })
    stream.end(
      frame(writer => {
        writer.bytes(1, Buffer.from(key))
        writer.bytes(2, value)
      }),
    )
    stream.resume()
  })
}
