/** The figures of a node's DNS for Prometheus, at the port `metrics` of the Service `kube-dns`. */
import { createServer, type Server } from 'node:http'
import { type BackoffConfig, backoffMs } from '../base/backoff.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import type { Log } from '../base/log.ts'

export interface DnsMetricsParts {
  readonly listen: { readonly address: string; readonly port: number }
  readonly render: () => string
  readonly clock: Clock
  readonly log: Log
}

/** Nodes of one machine share the address: one listens, and another takes over. */
const RETRY: BackoffConfig = { baseMs: 1_000, maxMs: 30_000 }
const REQUEST_MS_MAX = 10_000
const CONNECTIONS_MAX = 16
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function createDnsMetrics({ listen, render, clock, log }: DnsMetricsParts): Component {
  let server: Server | null = null
  let timer: Timer | null = null
  let failures = 0
  const open = () => {
    timer = null
    const next = createServer({ requestTimeout: REQUEST_MS_MAX }, ({ method, url }, response) => {
      const isAsked = method === 'GET' && url?.split('?')[0] === '/metrics'
      if (isAsked) response.writeHead(200, { 'content-type': CONTENT_TYPE }).end(render())
      else response.writeHead(404).end()
    })
    server = next
    next.maxConnections = CONNECTIONS_MAX
    next.on('error', error => {
      failures += 1
      log.debug('the figures of the DNS cannot be told', { ...listen, error })
      timer ??= clock.after(backoffMs(RETRY, failures), open)
    })
    next.listen(listen.port, listen.address, () => {
      failures = 0
    })
    next.unref()
  }
  return {
    name: 'dns-metrics',
    async prepare() {},
    async start() {
      open()
    },
    async stop() {
      timer?.cancel()
      server?.close()
      server?.closeAllConnections()
    },
    health: () => ({ ok: true, reason: '' }),
  }
}
