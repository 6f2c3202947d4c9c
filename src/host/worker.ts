/** Starts the program's worker threads, from the sources or from inside the executable. */
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { isBundled, readAsset } from './assets.ts'

export type WorkerName = 'raft' | 'store' | 'dns' | 'registry' | 'hash' | 'ingress'

const sources: Record<WorkerName, string> = {
  raft: '../runtime/store/raft-worker.ts',
  store: '../runtime/store/store-worker.ts',
  dns: '../runtime/dns/dns-worker.ts',
  registry: '../runtime/image-registry/registry-worker.ts',
  hash: '../runtime/image-registry/hash-worker.ts',
  ingress: '../runtime/ingress/ingress-worker.ts',
}

/** A running worker thread; `workerData` and `transferList` as in node:worker_threads. */
export function startWorker(name: WorkerName, options: WorkerOptions): Worker {
  const common: WorkerOptions = { name, ...options }
  if (isBundled) return new Worker(readAsset(`${name}-worker.cjs`), { ...common, eval: true })
  return new Worker(new URL(sources[name], import.meta.url), common)
}
