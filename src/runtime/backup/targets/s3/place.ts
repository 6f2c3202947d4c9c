/** Where an S3 target is, read from its URL: `s3://bucket/prefix?endpoint=https://host:port&region=…&path-style=true`. */
import { Mk8sError } from '../../../../base/errors.ts'
import { encodePath } from './signature.ts'

export interface S3Place {
  readonly bucket: string
  /** Empty, or ends in a slash. */
  readonly prefix: string
  readonly secure: boolean
  /** With the port unless it is the usual one. */
  readonly host: string
  /** Connected to; empty for the usual one. */
  readonly hostname: string
  readonly port: number
  readonly region: string
  readonly pathStyle: boolean
  /** As people are told. */
  readonly shown: string
}

const PARAMETERS = ['endpoint', 'region', 'path-style']
const REGION_OF_OLD = 'us-east-1'
const EXAMPLE =
  'for example s3://bucket/prefix?region=eu-central-1 or s3://bucket?endpoint=https://s3.example.com'

/** Throws `config/invalid`. */
export function parseS3Place(url: URL): S3Place {
  const refuse = (why: string) =>
    new Mk8sError('config/invalid', `backups cannot go to ${url.href}`, { why, hint: EXAMPLE })
  const bucket = url.host
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/.test(bucket))
    throw refuse(`${bucket || 'nothing'} names no bucket`)
  if (url.username !== '') throw refuse('a key does not belong into the URL, but into a Secret')
  if (url.hash !== '') throw refuse('it has a fragment')
  const parameters = url.searchParams
  const odd = [...parameters.keys()].find(name => !PARAMETERS.includes(name))
  if (odd !== undefined) throw refuse(`${odd} is none of its parameters, which are ${PARAMETERS.join(', ')}`)
  const region = parameters.get('region') ?? REGION_OF_OLD
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) throw refuse(`${region} is not the name of a region`)
  const own = parameters.get('endpoint')
  const endpoint = parseEndpoint(own ?? `https://s3.${region}.amazonaws.com`)
  if (endpoint === null) throw refuse(`the endpoint ${own} is not https://host[:port] (or http://…)`)
  const style = parameters.get('path-style')
  if (style !== null && style !== 'true' && style !== 'false') throw refuse('path-style is true or false')
  // A certificate for *.host is not one for a bucket with dots.
  const pathStyle = style === null ? own !== null || bucket.includes('.') : style === 'true'
  const prefix = decodeURIComponent(url.pathname).replace(/^\/+/, '').replace(/\/+$/, '')
  const secure = endpoint.protocol === 'https:'
  const ahead = pathStyle ? '' : `${bucket}.`
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    secure,
    host: `${ahead}${endpoint.host}`,
    hostname: `${ahead}${endpoint.hostname.replaceAll(/[[\]]/g, '')}`,
    port: Number(endpoint.port) || (secure ? 443 : 80),
    region,
    pathStyle,
    shown: url.href,
  }
}

/** Without a scheme HTTPS is meant: HTTP has to be asked for. */
function parseEndpoint(text: string): URL | null {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return null
  const rest = url.pathname !== '/' || url.search !== '' || url.hash !== ''
  return rest || url.username !== '' || url.password !== '' ? null : url
}

/** The path of an object, or of the bucket for an empty key. */
export const pathOf = ({ bucket, pathStyle }: S3Place, key: string): string =>
  encodePath(`${pathStyle ? `/${bucket}` : ''}${key === '' && pathStyle ? '' : `/${key}`}`)
