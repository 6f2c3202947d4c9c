/** A resolver that knows a small cluster, for tests of the DNS: queries as dns-packet writes them. */
import { type Answer, type DecodedPacket, decode, encode, type RecordType } from 'dns-packet'
import { must } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { DnsChanges, DnsPort, DnsService, ZoneConfig } from '../../src/runtime/dns/messages.ts'
import { Resolver, type ResolverParts } from '../../src/runtime/dns/resolver.ts'

export const ZONE: ZoneConfig = {
  domain: 'cluster.local',
  dnsAddress: '10.152.183.10',
  networks: ['10.152.183.0/24', '10.1.0.0/16'],
}

const port = (name: string, number: number, protocol = 'tcp'): DnsPort => ({ name, protocol, port: number })
const none = { addresses: [], ports: [], target: '' }
const clusterIp = (address: string, ...ports: DnsPort[]): DnsService => ({
  kind: 'cluster-ip',
  addresses: [address],
  ports,
  target: '',
})

export const CLUSTER: DnsChanges = {
  services: [
    ['default/kubernetes', clusterIp('10.152.183.1', port('https', 443))],
    ['shop/web', clusterIp('10.152.183.20', port('http', 80), port('', 81), port('dns', 53, 'udp'))],
    ['shop/dual', { ...clusterIp('10.152.183.21'), addresses: ['10.152.183.21', 'fd00::21'] }],
    ['shop/db', { ...none, kind: 'headless', ports: [port('sql', 5432)] }],
    ['shop/empty', { ...none, kind: 'headless' }],
    ['shop/far', { ...none, kind: 'external-name', target: 'www.example.com' }],
    ['shop/near', { ...none, kind: 'external-name', target: 'web.shop.svc.cluster.local' }],
    ['shop/one', { ...none, kind: 'external-name', target: 'other.shop.svc.cluster.local' }],
    ['shop/other', { ...none, kind: 'external-name', target: 'one.shop.svc.cluster.local' }],
  ],
  slices: [
    [
      'shop/db-1',
      {
        service: 'shop/db',
        endpoints: [
          { hostname: 'db-0', addresses: ['10.1.0.5'] },
          { hostname: null, addresses: ['10.1.0.6'] },
        ],
        ports: [port('sql', 5432)],
      },
    ],
    [
      'shop/web-1',
      { service: 'shop/web', endpoints: [{ hostname: null, addresses: ['10.1.0.7'] }], ports: [] },
    ],
  ],
}

/** Asks nobody: every other name fails. */
export const ALONE: ResolverParts['forwarder'] = {
  ask: async () => null,
  isOwnProbe: () => false,
  configure: () => {},
  queries: 0,
  failures: 0,
}

export function testResolver(forwarder: ResolverParts['forwarder'] = ALONE, clock = systemClock): Resolver {
  const resolver = new Resolver({ zone: ZONE, forwarder, clock })
  resolver.change(CLUSTER)
  resolver.synced()
  return resolver
}

export interface AskOptions {
  readonly isTcp?: boolean
  readonly payload?: number
  readonly flags?: number
}

export function queryFor(
  name: string,
  type: RecordType = 'A',
  { payload, flags = 256 }: AskOptions = {},
): Buffer {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: payload, flags: 0, options: [] } as unknown as Answer
  const additionals = payload === undefined ? [] : [opt]
  return encode({ type: 'query', id: 4_711, flags, questions: [{ type, name }], additionals })
}

export async function rawAnswer(resolver: Resolver, query: Buffer, isTcp = false): Promise<Buffer> {
  return new Promise(resolve => resolver.handle(query, { isTcp }, resolve))
}

export async function ask(
  resolver: Resolver,
  name: string,
  type: RecordType = 'A',
  options: AskOptions = {},
): Promise<DecodedPacket> {
  return decode(await rawAnswer(resolver, queryFor(name, type, options), options.isTcp))
}

/** `NOERROR A 10.0.0.1, SRV 0 100 80 web…`; records of authority in brackets. */
export function textOf(answer: DecodedPacket): string {
  const rcode = (answer as unknown as { rcode: string }).rcode
  const records = must(answer.answers, 'answers').map(recordText)
  const authorities = must(answer.authorities, 'authorities').map(({ type }) => `(${type})`)
  return [rcode, [...records, ...authorities].join(', ')].filter(Boolean).join(' ')
}

function recordText(record: Answer): string {
  switch (record.type) {
    case 'SRV': {
      const { priority, weight, port: number, target } = record.data
      return `SRV ${priority} ${weight} ${number} ${target}`
    }
    case 'TXT':
      return `TXT ${String(record.data)}`
    case 'SOA':
      return `SOA ${record.data.mname} ${record.data.minimum}`
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'PTR':
    case 'NS':
      return `${record.type} ${record.data}`
    default:
      return record.type
  }
}
