/** Writes a message from records, with the names of owners compressed (RFC 1035, 4.1.4). Pure. */
import { must } from '../../base/assert.ts'
import { parseAddress } from '../../kube/cidr.ts'
import { CLASS_IN, type DnsRecord, HEADER_BYTES, TYPE } from './record-types.ts'

export interface MessageParts {
  /** As it is to stand in the answer, 12 bytes from the beginning. */
  readonly question: Uint8Array
  /** Without id. */
  readonly flags: number
  readonly answers: readonly DnsRecord[]
  readonly authorities?: readonly DnsRecord[]
  readonly additionals?: readonly DnsRecord[]
}

/** What fits into a message over TCP; records on top are left out. */
const MESSAGE_BYTES_MAX = 65_535
const POINTER_MAX = 0x3fff
const NAME_BYTES_MAX = 255
/** Of the SOA record: what secondaries would go by, and how long a name that is not there is not asked for again. */
const SOA_TIMES = [7_200, 1_800, 86_400] as const

export function writeMessage(parts: MessageParts): Buffer {
  const writer = new Writer(parts.question)
  const counts = [parts.answers, parts.authorities ?? [], parts.additionals ?? []].map(
    records => records.filter(record => writer.record(record)).length,
  )
  return writer.finish(parts.flags, counts)
}

class Writer {
  #bytes = Buffer.allocUnsafe(1_024)
  #at: number
  readonly #offsets = new Map<string, number>()

  constructor(question: Uint8Array) {
    this.#bytes.fill(0, 0, HEADER_BYTES)
    this.#bytes.set(question, HEADER_BYTES)
    this.#at = HEADER_BYTES + question.length
    this.#rememberQuestion()
  }

  finish(flags: number, counts: readonly number[]): Buffer {
    this.#bytes.writeUInt16BE(flags, 2)
    this.#bytes.writeUInt16BE(1, 4)
    counts.forEach((count, index) => {
      this.#bytes.writeUInt16BE(count, 6 + 2 * index)
    })
    return Buffer.from(this.#bytes.subarray(0, this.#at))
  }

  /** False when it has no room any more. */
  record(record: DnsRecord): boolean {
    const start = this.#at
    this.#name(record.name, { compress: true })
    this.#u16(record.type === 'raw' ? record.code : TYPE[record.type])
    this.#u16(CLASS_IN)
    this.#room(4)
    this.#bytes.writeUInt32BE(record.ttl, this.#at)
    this.#at += 4
    const lengthAt = this.#at
    this.#u16(0)
    this.#data(record)
    this.#bytes.writeUInt16BE(this.#at - lengthAt - 2, lengthAt)
    if (this.#at <= MESSAGE_BYTES_MAX) return true
    this.#at = start
    return false
  }

  #data(record: DnsRecord): void {
    switch (record.type) {
      case 'A':
        return void this.#raw(Uint8Array.from(record.address.split('.'), Number))
      case 'AAAA':
        return void this.#raw(ipv6Bytes(record.address))
      case 'CNAME':
      case 'PTR':
      case 'NS':
        return void this.#name(record.target, { compress: true })
      case 'TXT': {
        const text = Buffer.from(record.text, 'latin1').subarray(0, 255)
        return void this.#raw(Buffer.concat([Buffer.of(text.length), text]))
      }
      case 'SRV':
        this.#u16(0)
        this.#u16(record.weight)
        this.#u16(record.port)
        // RFC 2782 forbids pointers here.
        return void this.#name(record.target, { compress: false })
      case 'SOA':
        return void this.#soa(record.name, record.serial, record.ttl)
      case 'raw':
        return void this.#raw(record.data)
    }
  }

  #soa(zone: string, serial: number, ttl: number): void {
    this.#name(`ns.dns.${zone}`, { compress: true })
    this.#name(`hostmaster.${zone}`, { compress: true })
    this.#room(20)
    for (const value of [serial, ...SOA_TIMES, ttl]) {
      this.#bytes.writeUInt32BE(value, this.#at)
      this.#at += 4
    }
  }

  #name(name: string, { compress }: { readonly compress: boolean }): void {
    this.#room(NAME_BYTES_MAX + 1)
    let rest = name
    while (rest !== '') {
      const known = compress ? this.#offsets.get(rest) : undefined
      if (known !== undefined) return void this.#u16(0xc000 | known)
      if (this.#at <= POINTER_MAX && !this.#offsets.has(rest)) this.#offsets.set(rest, this.#at)
      const dot = rest.indexOf('.')
      const label = dot < 0 ? rest : rest.slice(0, dot)
      this.#bytes[this.#at] = this.#bytes.write(label, this.#at + 1, 'latin1')
      this.#at += 1 + label.length
      rest = dot < 0 ? '' : rest.slice(dot + 1)
    }
    this.#bytes[this.#at++] = 0
  }

  /** Where each ending of the asked name stands. */
  #rememberQuestion(): void {
    const labels: { readonly at: number; readonly text: string }[] = []
    for (let at = HEADER_BYTES; ; ) {
      const length = must(this.#bytes[at], 'a whole question')
      if (length === 0) break
      labels.push({ at, text: this.#bytes.toString('latin1', at + 1, at + 1 + length).toLowerCase() })
      at += length + 1
    }
    let suffix = ''
    for (const { at, text } of labels.toReversed()) {
      // A dot inside a label would look like two of them.
      if (text.includes('.')) return
      suffix = suffix === '' ? text : `${text}.${suffix}`
      this.#offsets.set(suffix, at)
    }
  }

  #u16(value: number): void {
    this.#room(2)
    this.#bytes.writeUInt16BE(value, this.#at)
    this.#at += 2
  }

  #raw(data: Uint8Array): void {
    this.#room(data.length)
    this.#bytes.set(data, this.#at)
    this.#at += data.length
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}

function ipv6Bytes(text: string): Uint8Array {
  const { family, value } = must(parseAddress(text), 'an address')
  const whole = family === 4 ? value | 0xffff00000000n : value
  return Uint8Array.from({ length: 16 }, (_, index) => Number((whole >> BigInt(120 - 8 * index)) & 255n))
}
