/** Writers that put one key after the other over etcd's API, and how long each put took. */
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
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Against the unix socket at `path`. */
export async function loadEndpoint(path: string, load: Load): Promise<Outcome> {
  const connections = Math.min(load.writers, CONNECTIONS_MAX)
  const clients = Array.from({ length: connections }, () => new GrpcClient({ path }))
  const value = Buffer.alloc(load.valueBytes, 'x')
  const took: number[] = []
  const start = performance.now()
  const end = start + load.milliseconds
  const write = async (writer: number) => {
    for (let count = 0; performance.now() < end; count++) {
      const before = performance.now()
      const key = `/load/${String(writer).padStart(4, '0')}/${count % 1000}`
      await putOver(clients[writer % connections] as GrpcClient, key, value)
      took.push(performance.now() - before)
    }
  }
  try {
    await Promise.all(Array.from({ length: load.writers }, (_, writer) => write(writer)))
  } finally {
    for (const client of clients) client.close()
  }
  const seconds = (performance.now() - start) / 1000
  took.sort((a, b) => a - b)
  const at = (share: number) => took[Math.floor(took.length * share)] ?? 0
  return { puts: took.length, putsPerSecond: took.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) }
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
