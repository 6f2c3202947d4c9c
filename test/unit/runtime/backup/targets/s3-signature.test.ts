/** Signature Version 4, with the examples that Amazon publishes for S3. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodePath, signedHeaders } from '../../../../../src/runtime/backup/targets/s3/signature.ts'

const KEY = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}
const NOW = Date.UTC(2013, 4, 24)
const host = 'examplebucket.s3.amazonaws.com'

const examples = [
  {
    name: 'a GET of an object',
    request: {
      method: 'GET',
      path: '/test.txt',
      query: {},
      headers: { host, range: 'bytes=0-9' },
      payload: '',
    },
    signed: 'host;range;x-amz-content-sha256;x-amz-date',
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    name: 'a PUT of an object',
    request: {
      method: 'PUT',
      path: encodePath('/test$file.text'),
      query: {},
      headers: { host, date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
      payload: 'Welcome to Amazon S3.',
    },
    signed: 'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    name: 'a query without a value',
    request: { method: 'GET', path: '/', query: { lifecycle: '' }, headers: { host }, payload: '' },
    signed: 'host;x-amz-content-sha256;x-amz-date',
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    name: 'a list of objects',
    request: {
      method: 'GET',
      path: '/',
      query: { prefix: 'J', 'max-keys': '2' },
      headers: { host },
      payload: '',
    },
    signed: 'host;x-amz-content-sha256;x-amz-date',
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
]

describe("a request's signature", () => {
  for (const { name, request, signed, signature } of examples) {
    it(`is Amazon's for ${name}`, () => {
      const unsigned = { ...request, payload: Buffer.from(request.payload) }
      const { authorization } = signedHeaders(unsigned, KEY, 'us-east-1', NOW)
      assert.equal(
        authorization,
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
          `SignedHeaders=${signed},Signature=${signature}`,
      )
    })
  }

  it('covers the session token of a temporary key', () => {
    const [first] = examples
    const unsigned = { ...first?.request, method: 'GET', path: '/', query: {}, headers: { host } }
    const headers = signedHeaders(
      { ...unsigned, payload: Buffer.alloc(0) },
      { ...KEY, sessionToken: 'token' },
      'us-east-1',
      NOW,
    )
    assert.equal(headers['x-amz-security-token'], 'token')
    assert.match(headers['authorization'] ?? '', /x-amz-date;x-amz-security-token,/)
  })
})
