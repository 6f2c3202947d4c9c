/** URLs of S3 targets, and what the refusals of servers say. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { failureOf, networkFailureOf } from '../../../../../src/runtime/backup/targets/s3/failures.ts'
import { parseS3Place, pathOf } from '../../../../../src/runtime/backup/targets/s3/place.ts'
import { elements, textOf } from '../../../../../src/runtime/backup/targets/s3/xml.ts'

const parse = (url: string) => parseS3Place(new URL(url))

describe('the URL of an S3 target', () => {
  it("names a bucket of Amazon's by its host", () => {
    const place = parse('s3://backups/a/b/?region=eu-central-1')
    assert.equal(place.host, 'backups.s3.eu-central-1.amazonaws.com')
    assert.deepEqual([place.port, place.secure, place.prefix, place.pathStyle], [443, true, 'a/b/', false])
    assert.equal(pathOf(place, 'a/b/c d+e'), '/a/b/c%20d%2Be')
    assert.equal(pathOf(place, ''), '/')
  })

  it('names a bucket of another service by its path, unless told otherwise', () => {
    const place = parse('s3://backups?endpoint=https://s3.example.com:9000')
    assert.deepEqual(
      [place.host, place.hostname, place.port],
      ['s3.example.com:9000', 's3.example.com', 9000],
    )
    assert.equal(pathOf(place, 'x'), '/backups/x')
    assert.equal(pathOf(place, ''), '/backups')
    const virtual = parse('s3://backups?endpoint=s3.example.com&path-style=false')
    assert.deepEqual([virtual.host, virtual.secure], ['backups.s3.example.com', true])
    const ipv6 = parse('s3://backups?endpoint=http://[::1]:9000')
    assert.deepEqual([ipv6.host, ipv6.hostname, ipv6.secure], ['[::1]:9000', '::1', false])
    assert.equal(parse('s3://with.dots').pathStyle, true)
  })

  it('is refused with the reason when it cannot be right', () => {
    const refused = [
      ['s3:///prefix', /names no bucket/],
      ['s3://key@backups', /does not belong into the URL/],
      ['s3://backups?region=eu_1/../', /not the name of a region/],
      ['s3://backups?endpoint=ftp://x', /the endpoint ftp:\/\/x is not/],
      ['s3://backups?endpoint=https://u:p@x', /is not https/],
      ['s3://backups?path-style=yes', /path-style is true or false/],
      ['s3://backups?regoin=x', /regoin is none of its parameters/],
    ] as const
    for (const [url, why] of refused) assert.throws(() => parse(url), { code: 'config/invalid', why })
  })
})

describe('the refusal of an S3 server', () => {
  const place = parse('s3://backups?region=eu-central-1')
  const refusal = (status: number, body: string, headers = {}) =>
    failureOf({ status, headers, body: `<?xml version="1.0"?><Error>${body}</Error>` }, 'writing a', place, 0)

  it('names the right region, by the answer or by its headers', () => {
    const malformed = refusal(400, '<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>')
    assert.match(malformed.error.why ?? '', /in the region eu-west-1, not in eu-central-1/)
    const moved = refusal(301, '<Code>PermanentRedirect</Code>', { 'x-amz-bucket-region': 'ap-south-1' })
    assert.match(moved.error.hint ?? '', /region=ap-south-1/)
    const head = failureOf(
      { status: 301, headers: { 'x-amz-bucket-region': 'x-1' }, body: '' },
      'a',
      place,
      0,
    )
    assert.match(head.error.why ?? '', /in the region x-1/)
    assert.equal(malformed.retry, false)
  })

  it('is tried again when it may pass, and only then', () => {
    for (const code of ['SlowDown', 'ServiceUnavailable']) {
      assert.equal(refusal(503, `<Code>${code}</Code>`).retry, true)
    }
    assert.equal(refusal(400, '<Code>RequestTimeout</Code>').retry, true)
    assert.equal(failureOf({ status: 502, headers: {}, body: '<html>' }, 'a', place, 0).retry, true)
    for (const code of ['AccessDenied', 'NoSuchBucket', 'RequestTimeTooSkewed', 'ExpiredToken']) {
      assert.equal(refusal(403, `<Code>${code}</Code>`).retry, false)
    }
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    assert.equal(networkFailureOf(reset, 'a', place).retry, true)
    const expired = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
    assert.equal(networkFailureOf(expired, 'a', place).retry, false)
  })

  it('tells by how much the clocks differ', () => {
    const server = '<Code>RequestTimeTooSkewed</Code><ServerTime>1970-01-01T01:00:00Z</ServerTime>'
    assert.match(refusal(403, server).error.why ?? '', /differ by 3600 s/)
    const date = refusal(403, '<Code>RequestTimeTooSkewed</Code>', { date: 'Thu, 01 Jan 1970 00:30:00 GMT' })
    assert.match(date.error.why ?? '', /differ by 1800 s/)
  })

  it('shows of an answer the code and the message, and nothing that was signed', () => {
    const { error } = refusal(
      403,
      '<Code>SignatureDoesNotMatch</Code><Message>a &amp; b</Message><StringToSign>secret</StringToSign>',
    )
    assert.match(error.why ?? '', /SignatureDoesNotMatch: a & b/)
    assert.ok(!JSON.stringify([error.message, error.why, error.hint]).includes('StringToSign'))
  })
})

describe("S3's XML", () => {
  it('is read by the names of elements', () => {
    const xml = '<L xmlns="x"><C><Key>a&lt;&#x62;&#99;</Key></C><C><Key>d</Key></C></L>'
    assert.deepEqual(
      elements(xml, 'C').map(inside => textOf(inside, 'Key')),
      ['a<bc', 'd'],
    )
    assert.equal(textOf(xml, 'Size'), undefined)
    assert.equal(textOf('<Key>&#x110000;&nope;</Key>', 'Key'), '&#x110000;&nope;')
  })
})
