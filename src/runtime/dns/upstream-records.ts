/** The answer records of another server's message, made fit to stand in a message of ours. */
import { type Answer, decode } from 'dns-packet'
import { type DnsRecord, TYPE } from './record-types.ts'

/** Of the types that an alias is followed for; others are left out. */
export function recordsOf(message: Buffer): DnsRecord[] {
  return (decode(message).answers ?? []).flatMap(recordOf)
}

function recordOf(answer: Answer): DnsRecord[] {
  const name = answer.name.toLowerCase()
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0
  switch (answer.type) {
    case 'A':
    case 'AAAA':
      return [{ type: answer.type, name, ttl, address: answer.data }]
    case 'CNAME':
      return [{ type: 'CNAME', name, ttl, target: answer.data.toLowerCase() }]
    case 'TXT': {
      const parts = [answer.data].flat().map(part => Buffer.from(part as Uint8Array | string))
      const data = Buffer.concat(parts.flatMap(part => [Buffer.of(part.length), part]))
      return [{ type: 'raw', code: TYPE.TXT, name, ttl, data }]
    }
    case 'SRV': {
      const { port, target, weight = 0 } = answer.data
      return [{ type: 'SRV', name, ttl, weight, port, target: target.toLowerCase() }]
    }
    default:
      return []
  }
}
