/**
 * The Service `kube-system/kube-dns`, under which pods find the DNS of their own node. The leader makes it where it is
 * missing, and leaves one alone that is there: whoever gives it a selector has a DNS of their own.
 */
import { type BackoffConfig, backoffMs } from '../base/backoff.ts'
import { type Clock, sleep } from '../base/clock.ts'
import type { Component, Health } from '../base/component.ts'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { isAlreadyExists, KubeClient } from '../client/kube-client.ts'
import { SERVICES } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import type { ClusterConfig } from '../config/node-config.ts'
import { familyOf } from '../kube/ip-family.ts'
import type { Service } from '../kube/types.ts'
import { DNS_SERVICE, dnsServiceIp } from './node-dns.ts'

export interface DnsServiceParts {
  readonly transport: Transport
  readonly cluster: Pick<ClusterConfig, 'serviceCidr'>
  readonly clock: Clock
  readonly term: number
  readonly log: Log
}

const RETRY: BackoffConfig = { baseMs: 1_000, maxMs: 60_000 }

export function createDnsService({ transport, cluster, clock, term, log }: DnsServiceParts): Component {
  const aborter = new AbortController()
  const client = new KubeClient(transport, { userAgent: 'mk8s-dns', term })
  let health: Health = { ok: true, reason: '' }
  const create = async () => {
    for (let failures = 1; !aborter.signal.aborted; failures++) {
      try {
        await client.create<Service>(SERVICES, dnsService(dnsServiceIp(cluster)), {
          namespace: 'kube-system',
        })
        break
      } catch (error) {
        if (isAlreadyExists(error)) break
        if (failures === 1) log.warn('the service of the DNS cannot be made', { error: messageOf(error) })
        health = { ok: true, reason: `the service of the DNS cannot be made: ${messageOf(error)}` }
        await sleep(clock, backoffMs(RETRY, failures), aborter.signal).catch(() => {})
      }
    }
    health = { ok: true, reason: '' }
  }
  return {
    name: 'dns-service',
    async prepare() {},
    async start() {
      void create()
    },
    async stop() {
      aborter.abort()
    },
    health: () => health,
  }
}

function dnsService(address: string): Service {
  const family = familyOf(address)
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: DNS_SERVICE,
      namespace: 'kube-system',
      labels: {
        'k8s-app': DNS_SERVICE,
        'kubernetes.io/cluster-service': 'true',
        'kubernetes.io/name': 'CoreDNS',
      },
    },
    spec: {
      clusterIP: address,
      clusterIPs: [address],
      ipFamilies: [family],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Local',
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
        { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 9153 },
      ],
    },
  }
}
