/**
 * What the OCI distribution specification 1.1 wants of a registry, as rows: the categories of its conformance suite
 * (pull, push, content discovery, content management), one request each, and what has to be answered.
 */
import { createHash } from 'node:crypto'
import { imageManifest, sha256 } from '../../support/image-registry.ts'

export type Category = 'pull' | 'push' | 'discovery' | 'management' | 'errors'

export interface Row {
  readonly category: Category
  readonly title: string
  /** `METHOD path`; `@name` stands for the location that an earlier row has kept under that name. */
  readonly request: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Any of them will do. */
  readonly status: number | readonly number[]
  /** Of the answer; null: it may not be there. */
  readonly answers?: Readonly<Record<string, string | RegExp | null>>
  /** The code of the error. */
  readonly code?: string
  /** The body as text, or a part of it as JSON. */
  readonly content?: string | object
  /** Under which name its location is kept. */
  readonly keep?: string
}

export const NAME = 'conformance/app'
export const OTHER = 'conformance/other'
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const BYTES = 'application/octet-stream'

export const CONFIG = '{"architecture":"amd64","os":"linux"}'
export const LAYER = 'the layer of an image'
const MANIFEST = imageManifest(CONFIG, [LAYER])
const EMPTY = imageManifest(CONFIG, [])
const MISSING = sha256('nobody has this')
const long = (text: string) => `sha512:${createHash('sha512').update(text).digest('hex')}`
const subject = { mediaType: OCI_MANIFEST, digest: sha256(MANIFEST), size: MANIFEST.length }
const SIGNATURE = imageManifest(CONFIG, [LAYER], {
  ...{ artifactType: 'application/x.signature', subject, annotations: { 'org.example.signer': 'me' } },
})
/** Without a type of its own it has its configuration's. */
const PLAIN = imageManifest(CONFIG, [], { subject })
const INDEX = JSON.stringify({
  ...{ schemaVersion: 2, mediaType: OCI_INDEX, artifactType: 'application/x.index', subject },
  manifests: [{ mediaType: OCI_MANIFEST, digest: sha256(MANIFEST), size: MANIFEST.length }],
})
const UNTYPED = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], subject })

const v2 = (path: string, name = NAME) => `/v2/${name}/${path}`
const blob = (digest: string) => v2(`blobs/${digest}`)
const put = (reference: string) => `PUT ${v2(`manifests/${reference}`)}`
const typed = (type: string) => ({ headers: { 'content-type': type } })
const chunk = (range: string) => ({ headers: { 'content-type': BYTES, 'content-range': range } })
const digestIs = (digest: string) => ({ 'docker-content-digest': digest })

/** Blobs and manifests come to the registry in several ways. */
const push: readonly Omit<Row, 'category'>[] = [
  {
    title: 'an upload begins with a place of its own',
    request: `POST ${v2('blobs/uploads/')}`,
    ...{ status: 202, answers: { location: /^\/v2\//, range: '0-0' }, keep: 'streamed' },
  },
  {
    title: 'a body without a range is taken as it comes',
    request: 'PATCH @streamed',
    ...{ ...typed(BYTES), body: CONFIG, status: 202, keep: 'streamed' },
    answers: { range: `0-${CONFIG.length - 1}`, location: /^\/v2\// },
  },
  {
    title: 'the digest ends it, and the answer says where the blob is',
    request: `PUT @streamed?digest=${sha256(CONFIG)}`,
    ...{
      status: 201,
      keep: 'config',
      answers: { ...digestIs(sha256(CONFIG)), location: blob(sha256(CONFIG)) },
    },
  },
  { title: 'and there it is', request: 'GET @config', status: 200, content: CONFIG },
  {
    title: 'a whole blob comes with the POST that names its digest',
    request: `POST ${v2(`blobs/uploads/?digest=${sha256(LAYER)}`)}`,
    ...{ ...typed(BYTES), body: LAYER, status: 201, answers: { location: blob(sha256(LAYER)) } },
  },
  {
    title: 'a whole blob that is something else is refused',
    request: `POST ${v2(`blobs/uploads/?digest=${MISSING}`)}`,
    ...{ ...typed(BYTES), body: LAYER, status: 400, code: 'DIGEST_INVALID' },
  },
  {
    title: 'or with the PUT that ends an upload',
    request: `POST ${v2('blobs/uploads/')}`,
    ...{ status: 202, keep: 'whole' },
  },
  {
    title: 'of nothing but that body',
    request: `PUT @whole?digest=${sha256('whole')}`,
    ...{ ...typed(BYTES), body: 'whole', status: 201, answers: digestIs(sha256('whole')) },
  },
  {
    title: 'an upload that has ended is none',
    request: 'GET @whole',
    ...{ status: 404, code: 'BLOB_UPLOAD_UNKNOWN' },
  },
  { title: 'chunks', request: `POST ${v2('blobs/uploads/')}`, status: 202, keep: 'chunks' },
  {
    title: 'a chunk out of order is refused with where the next one begins',
    request: 'PATCH @chunks',
    ...{ ...chunk('3-5'), body: 'def', status: 416, answers: { range: '0-0', location: /^\/v2\// } },
  },
  {
    title: 'the first chunk is taken',
    request: 'PATCH @chunks',
    ...{ ...chunk('0-2'), body: 'abc', status: 202, answers: { range: '0-2' }, keep: 'chunks' },
  },
  {
    title: 'a chunk again is out of order',
    request: 'PATCH @chunks',
    ...{ ...chunk('0-2'), body: 'abc', status: 416, answers: { range: '0-2' } },
  },
  {
    title: 'the state of an upload says how far it is',
    request: 'GET @chunks',
    ...{ status: 204, answers: { range: '0-2', location: /^\/v2\// } },
  },
  {
    title: 'a chunk that is shorter than its range is refused',
    request: 'PATCH @chunks',
    ...{ ...chunk('3-9'), body: 'de', status: 400, code: 'SIZE_INVALID' },
  },
  {
    title: 'a range that is none is refused',
    request: 'PATCH @chunks',
    ...{ ...chunk('5-3'), body: 'de', status: 416 },
  },
  {
    title: 'the last chunk out of order is refused, too',
    request: `PUT @chunks?digest=${sha256('abcdef')}`,
    ...{ ...chunk('4-6'), body: 'def', status: 416 },
  },
  {
    title: 'an upload cannot end without a digest',
    request: 'PUT @chunks',
    ...{ status: 400, code: 'DIGEST_INVALID' },
  },
  {
    title: 'the last chunk may come with the digest',
    request: `PUT @chunks?digest=${sha256('abcdef')}`,
    ...{ ...chunk('3-5'), body: 'def', status: 201, answers: digestIs(sha256('abcdef')) },
  },
  { title: 'sha512', request: `POST ${v2('blobs/uploads/')}`, status: 202, keep: 'long' },
  {
    title: 'names blobs as well',
    request: `PUT @long?digest=${long('abc')}`,
    ...{ ...typed(BYTES), body: 'abc', status: 201, answers: digestIs(long('abc')) },
  },
  { title: 'given up', request: `POST ${v2('blobs/uploads/')}`, status: 202, keep: 'gone' },
  { title: 'an upload is cancelled', request: 'DELETE @gone', status: 204 },
  { title: 'and gone', request: 'PATCH @gone', body: 'x', status: 404, code: 'BLOB_UPLOAD_UNKNOWN' },
  {
    title: 'a mount of what nobody has begins an upload',
    request: `POST ${v2(`blobs/uploads/?mount=${MISSING}&from=${NAME}`, OTHER)}`,
    ...{ status: 202, answers: { location: /uploads/ } },
  },
  {
    title: 'a mount from a repository without the blob begins one, too',
    request: `POST ${v2(`blobs/uploads/?mount=${sha256(LAYER)}&from=conformance/none`, OTHER)}`,
    ...{ status: 202, answers: { location: /uploads/ } },
  },
  {
    title: 'a blob is mounted from another repository',
    request: `POST ${v2(`blobs/uploads/?mount=${sha256(LAYER)}&from=${NAME}`, OTHER)}`,
    ...{ status: 201, answers: { location: v2(`blobs/${sha256(LAYER)}`, OTHER) } },
  },
  {
    title: 'and is there',
    request: `GET ${v2(`blobs/${sha256(LAYER)}`, OTHER)}`,
    ...{ status: 200, content: LAYER },
  },
  {
    title: 'where it came from need not be said',
    request: `POST ${v2(`blobs/uploads/?mount=${sha256(CONFIG)}`, OTHER)}`,
    ...{ status: [201, 202] },
  },
  {
    title: 'a manifest is pushed by a tag',
    request: put('v1'),
    ...{ ...typed(OCI_MANIFEST), body: MANIFEST, status: 201 },
    answers: { ...digestIs(sha256(MANIFEST)), location: v2('manifests/v1'), 'oci-subject': null },
  },
  {
    title: 'or by its digest',
    request: put(sha256(EMPTY)),
    ...{ ...typed(OCI_MANIFEST), body: EMPTY, status: 201, answers: digestIs(sha256(EMPTY)) },
  },
  {
    title: 'but not by another one',
    request: put(MISSING),
    ...{ ...typed(OCI_MANIFEST), body: EMPTY, status: 400, code: 'DIGEST_INVALID' },
  },
  {
    title: 'one without layers is taken',
    request: put('empty'),
    ...{ ...typed(OCI_MANIFEST), body: EMPTY, status: 201 },
  },
  {
    title: 'one that refers to another says so in the answer',
    request: put(sha256(SIGNATURE)),
    ...{ ...typed(OCI_MANIFEST), body: SIGNATURE, status: 201, answers: { 'oci-subject': subject.digest } },
  },
  {
    title: 'also without a type of its own',
    request: put(sha256(PLAIN)),
    ...{ ...typed(OCI_MANIFEST), body: PLAIN, status: 201, answers: { 'oci-subject': subject.digest } },
  },
  {
    title: 'and an index',
    request: put('index'),
    ...{ ...typed(OCI_INDEX), body: INDEX, status: 201, answers: { 'oci-subject': subject.digest } },
  },
  {
    title: 'even an empty one',
    request: put(sha256(UNTYPED)),
    ...{ ...typed(OCI_INDEX), body: UNTYPED, status: 201, answers: { 'oci-subject': subject.digest } },
  },
  {
    title: 'a manifest whose layer is not there is refused',
    request: put('v2'),
    ...{ ...typed(OCI_MANIFEST), body: imageManifest(CONFIG, ['absent']), status: [400, 404] },
    code: 'MANIFEST_BLOB_UNKNOWN',
  },
  {
    title: 'a tag that is none cannot be pushed',
    request: put('.INVALID_MANIFEST_NAME'),
    ...{ ...typed(OCI_MANIFEST), body: MANIFEST, status: 400, code: 'MANIFEST_INVALID' },
  },
  {
    title: 'a digest that is none neither',
    request: put('sha256:totallywrong'),
    ...{ ...typed(OCI_MANIFEST), body: 'blablabla', status: 400, code: 'DIGEST_INVALID' },
  },
]

const pull: readonly Omit<Row, 'category'>[] = [
  { title: 'the registry speaks version 2', request: 'GET /v2/', status: 200 },
  { title: 'a blob that is not there (HEAD)', request: `HEAD ${blob(MISSING)}`, status: 404 },
  { title: 'a blob that is not there', request: `GET ${blob(MISSING)}`, status: 404, code: 'BLOB_UNKNOWN' },
  {
    title: 'how large a blob is',
    request: `HEAD ${blob(sha256(LAYER))}`,
    status: 200,
    answers: { ...digestIs(sha256(LAYER)), 'content-length': String(LAYER.length), 'accept-ranges': 'bytes' },
  },
  {
    title: 'a blob',
    request: `GET ${blob(sha256(LAYER))}`,
    ...{ status: 200, content: LAYER, answers: digestIs(sha256(LAYER)) },
  },
  {
    title: 'a part of a blob',
    request: `GET ${blob(sha256(LAYER))}`,
    ...{ headers: { range: 'bytes=4-8' }, status: 206, content: 'layer' },
    answers: { 'content-range': `bytes 4-8/${LAYER.length}` },
  },
  {
    title: 'the rest of a blob',
    request: `GET ${blob(sha256(LAYER))}`,
    ...{ headers: { range: 'bytes=13-' }, status: 206, content: 'an image'.slice(-8) },
  },
  {
    title: 'what lies beyond a blob',
    request: `GET ${blob(sha256(LAYER))}`,
    ...{ headers: { range: 'bytes=999-' }, status: 416 },
    answers: { 'content-range': `bytes */${LAYER.length}` },
  },
  {
    title: 'a range counts for GET only',
    request: `HEAD ${blob(sha256(LAYER))}`,
    ...{ headers: { range: 'bytes=4-8' }, status: 200 },
    answers: { 'content-length': String(LAYER.length), 'content-range': null },
  },
  {
    title: 'of several ranges the whole is a right answer',
    request: `GET ${blob(sha256(LAYER))}`,
    ...{ headers: { range: 'bytes=0-1,3-4' }, status: [200, 206] },
  },
  {
    title: 'a blob of another repository is not there',
    request: `GET ${v2(`blobs/${sha256('whole')}`, OTHER)}`,
    ...{ status: 404, code: 'BLOB_UNKNOWN' },
  },
  {
    title: 'a manifest by a name that nobody can have (HEAD)',
    request: `HEAD ${v2('manifests/.INVALID_MANIFEST_NAME')}`,
    status: 404,
  },
  {
    title: 'a manifest by a name that nobody can have',
    request: `GET ${v2('manifests/.INVALID_MANIFEST_NAME')}`,
    ...{ status: 404, code: 'MANIFEST_UNKNOWN' },
  },
  ...['v1', sha256(MANIFEST)].flatMap(reference => [
    {
      title: `a manifest by ${reference} (HEAD)`,
      request: `HEAD ${v2(`manifests/${reference}`)}`,
      status: 200,
      answers: {
        ...{ ...digestIs(sha256(MANIFEST)), 'content-type': OCI_MANIFEST },
        'content-length': String(MANIFEST.length),
      },
    },
    {
      title: `a manifest by ${reference}`,
      request: `GET ${v2(`manifests/${reference}`)}`,
      ...{ status: 200, content: MANIFEST },
      answers: { ...digestIs(sha256(MANIFEST)), 'content-type': OCI_MANIFEST },
    },
  ]),
]

const referrers = v2(`referrers/${subject.digest}`)
const about = (content: string, artifactType?: string, mediaType = OCI_MANIFEST) => ({
  ...{ mediaType, digest: sha256(content), size: content.length },
  ...(artifactType === undefined ? {} : { artifactType }),
})
const SIGNED = {
  ...about(SIGNATURE, 'application/x.signature'),
  annotations: { 'org.example.signer': 'me' },
}
const byDigest = (all: readonly { digest: string }[]) =>
  [...all].sort((a, b) => (a.digest < b.digest ? -1 : 1))

const discovery: readonly Omit<Row, 'category'>[] = [
  {
    title: 'all tags, in order',
    request: `GET ${v2('tags/list')}`,
    ...{ status: 200, content: { name: NAME, tags: ['empty', 'index', 'v1'] }, answers: { link: null } },
  },
  {
    title: 'the first tags, and where the others are',
    request: `GET ${v2('tags/list?n=2')}`,
    ...{ status: 200, content: { tags: ['empty', 'index'] } },
    answers: { link: `<${v2('tags/list')}?n=2&last=index>; rel="next"` },
  },
  {
    title: 'the tags after one',
    request: `GET ${v2('tags/list?n=2&last=index')}`,
    ...{ status: 200, content: { tags: ['v1'] }, answers: { link: null } },
  },
  {
    title: 'the tags after one that is not there',
    request: `GET ${v2('tags/list?last=f')}`,
    ...{ status: 200, content: { tags: ['index', 'v1'] } },
  },
  {
    title: 'no tags at all',
    request: `GET ${v2('tags/list?n=0')}`,
    ...{ status: 200, content: { tags: [] }, answers: { link: null } },
  },
  {
    title: 'a number of tags that is none',
    request: `GET ${v2('tags/list?n=x')}`,
    ...{ status: 400 },
  },
  {
    title: 'tags of a repository that nobody made',
    request: `GET ${v2('tags/list', 'conformance/none')}`,
    ...{ status: 404, code: 'NAME_UNKNOWN' },
  },
  {
    title: 'what refers to a manifest that is not there is an empty index',
    request: `GET ${v2(`referrers/${MISSING}`)}`,
    ...{ status: 200, answers: { 'content-type': OCI_INDEX, 'oci-filters-applied': null } },
    content: { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
  },
  {
    title: 'what refers to a manifest, with types and annotations',
    request: `GET ${referrers}`,
    ...{ status: 200, answers: { 'content-type': OCI_INDEX, 'oci-filters-applied': null } },
    content: {
      manifests: byDigest([
        SIGNED,
        about(PLAIN, 'application/vnd.oci.image.config.v1+json'),
        about(INDEX, 'application/x.index', OCI_INDEX),
        about(UNTYPED, undefined, OCI_INDEX),
      ]),
    },
  },
  {
    title: 'those of one type, and that they were filtered',
    request: `GET ${referrers}?artifactType=application/x.signature`,
    ...{ status: 200, answers: { 'oci-filters-applied': 'artifactType' }, content: { manifests: [SIGNED] } },
  },
  {
    title: 'those of a type that nothing has',
    request: `GET ${referrers}?artifactType=application/x.none`,
    ...{ status: 200, answers: { 'oci-filters-applied': 'artifactType' }, content: { manifests: [] } },
  },
  {
    title: 'what refers to a digest that is none',
    request: `GET ${v2('referrers/sha256:short')}`,
    ...{ status: 400, code: 'DIGEST_INVALID' },
  },
]

const management: readonly Omit<Row, 'category'>[] = [
  { title: 'a tag goes', request: `DELETE ${v2('manifests/empty')}`, status: 202 },
  {
    title: 'and is gone',
    request: `GET ${v2('manifests/empty')}`,
    ...{ status: 404, code: 'MANIFEST_UNKNOWN' },
  },
  { title: 'its manifest stays', request: `HEAD ${v2(`manifests/${sha256(EMPTY)}`)}`, status: 200 },
  {
    title: 'the list of tags shows it',
    request: `GET ${v2('tags/list')}`,
    ...{ status: 200, content: { tags: ['index', 'v1'] } },
  },
  {
    title: 'a tag that nobody can have',
    request: `DELETE ${v2('manifests/.INVALID_MANIFEST_NAME')}`,
    ...{ status: [400, 404] },
  },
  { title: 'a referrer goes', request: `DELETE ${v2(`manifests/${sha256(SIGNATURE)}`)}`, status: 202 },
  {
    title: 'and refers no more',
    request: `GET ${referrers}?artifactType=application/x.signature`,
    ...{ status: 200, content: { manifests: [] } },
  },
  { title: 'a manifest goes', request: `DELETE ${v2(`manifests/${sha256(MANIFEST)}`)}`, status: 202 },
  {
    title: 'and is gone (GET)',
    request: `GET ${v2(`manifests/${sha256(MANIFEST)}`)}`,
    ...{ status: 404, code: 'MANIFEST_UNKNOWN' },
  },
  { title: 'with its tags', request: `HEAD ${v2('manifests/v1')}`, status: 404 },
  {
    title: 'not twice',
    request: `DELETE ${v2(`manifests/${sha256(MANIFEST)}`)}`,
    ...{ status: 404, code: 'MANIFEST_UNKNOWN' },
  },
  {
    title: 'what still refers to it is told',
    request: `GET ${referrers}?artifactType=application/x.index`,
    ...{ status: 200, content: { manifests: [about(INDEX, 'application/x.index', OCI_INDEX)] } },
  },
  { title: 'a blob goes', request: `DELETE ${blob(sha256(LAYER))}`, status: 202 },
  { title: 'and is gone (HEAD)', request: `HEAD ${blob(sha256(LAYER))}`, status: 404 },
  { title: 'from this repository only', request: `HEAD ${v2(`blobs/${sha256(LAYER)}`, OTHER)}`, status: 200 },
  { title: 'not twice either', request: `DELETE ${blob(sha256(LAYER))}`, status: 404, code: 'BLOB_UNKNOWN' },
]

const errors: readonly Omit<Row, 'category'>[] = [
  {
    title: 'a name that is none',
    request: `GET ${v2('tags/list', 'UPPER/Case')}`,
    ...{ status: 400, code: 'NAME_INVALID' },
  },
  {
    title: 'a digest that is none',
    request: `GET ${blob('sha256:short')}`,
    ...{ status: 400, code: 'DIGEST_INVALID' },
  },
  {
    title: 'a method that a path does not have',
    request: `PUT ${v2('tags/list')}`,
    ...{ status: 405, code: 'UNSUPPORTED' },
  },
  {
    title: 'a manifest that is no JSON',
    request: put('v9'),
    ...{ ...typed(OCI_MANIFEST), body: 'blablabla', status: 400, code: 'MANIFEST_INVALID' },
  },
  {
    title: 'an upload that nobody began',
    request: `GET ${v2('blobs/uploads/00000000-0000-0000-0000-000000000000')}`,
    ...{ status: 404, code: 'BLOB_UPLOAD_UNKNOWN' },
  },
]

const rowsOf = (category: Category, rows: readonly Omit<Row, 'category'>[]): Row[] =>
  rows.map(row => ({ category, ...row }))

/** In this order: what one pushes, the next ones pull, and the last take away. */
export const ROWS: readonly Row[] = [
  ...rowsOf('push', push),
  ...rowsOf('pull', pull),
  ...rowsOf('discovery', discovery),
  ...rowsOf('management', management),
  ...rowsOf('errors', errors),
]
