/** Keeps a worker's list of API servers as the cluster has it: the endpoints of the service `kubernetes`. */
import type { Clock } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { ENDPOINT_SLICES } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import type { EndpointSlice } from '../../kube/types.ts'
import type { ApiServerAddress, ApiServers } from './api-servers.ts'

export interface ApiServerFeedParts {
  /** As `system:kube-proxy`. */
  readonly transport: Transport
  readonly servers: ApiServers
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Does not wait for the list: the one on disk will do. */
export function createApiServerFeed(parts: ApiServerFeedParts): Component {
  const { transport, servers, ...shared } = parts
  const aborter = new AbortController()
  const slices = new Informer<EndpointSlice>({
    ...shared,
    client: new KubeClient(transport, { userAgent: 'mk8s-api-proxy' }),
    resource: ENDPOINT_SLICES,
    namespace: 'default',
    labelSelector: 'kubernetes.io/service-name=kubernetes',
  })
  const take = () => servers.set(slices.list().flatMap(serversOf))
  return {
    name: 'api-server-list',
    async prepare() {},
    async start() {
      // Change by change would show a list that is half new, half old.
      slices.onChange(() => slices.isSynced && take())
      slices.start(aborter.signal)
      void slices.synced.then(take)
    },
    async stop() {
      aborter.abort()
    },
    health: () => ({ ok: true, reason: '' }),
  }
}

export function serversOf({ endpoints, ports }: EndpointSlice): ApiServerAddress[] {
  return (endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) =>
      addresses.flatMap(address => (ports ?? []).flatMap(({ port }) => (port ? [{ address, port }] : []))),
    )
}
