/** Where a webhook is: the rules of a client configuration, which webhooks and conversions of kinds share. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkPortNumber } from '../../../../kube/names.ts'

export interface ClientConfigLike {
  readonly url?: string
  readonly service?: {
    readonly namespace?: string
    readonly name?: string
    readonly path?: string
    readonly port?: number
  }
}

const HTTPS = 443

export function checkClientConfig(out: FieldError[], field: string, config: ClientConfigLike = {}): void {
  const { url, service } = config
  if ((url === undefined) === (service === undefined)) {
    out.push(required(field, 'exactly one of url or service is required'))
  } else if (url !== undefined) checkUrl(out, `${field}.url`, url)
  else checkService(out, `${field}.service`, service ?? {})
}

function checkUrl(out: FieldError[], field: string, text: string): void {
  const form = '; desired format: https://host[/path]'
  const [, scheme = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/.exec(text) ?? []
  if (scheme !== 'https') {
    out.push(invalid(field, scheme, `'https' is the only allowed URL scheme${form}`))
  }
  const [before = '', fragment = ''] = splitAt(rest, '#')
  const [place = '', query = ''] = splitAt(before, '?')
  const authority = place.split('/')[0] ?? ''
  const at = authority.lastIndexOf('@')
  if (authority.slice(at + 1) === '') out.push(invalid(field, '', `host must be specified${form}`))
  if (at >= 0) {
    out.push(invalid(field, authority.slice(0, at), 'user information is not permitted in the URL'))
  }
  if (fragment !== '') out.push(invalid(field, fragment, 'fragments are not permitted in the URL'))
  if (query !== '') out.push(invalid(field, query, 'query parameters are not permitted in the URL'))
}

function splitAt(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function checkService(
  out: FieldError[],
  field: string,
  { name, namespace, port = HTTPS, path }: NonNullable<ClientConfigLike['service']>,
): void {
  if (!name) out.push(required(`${field}.name`, 'service name is required'))
  if (!namespace) out.push(required(`${field}.namespace`, 'service namespace is required'))
  const problems = checkPortNumber(port)
  if (problems.length > 0) {
    out.push(invalid(`${field}.port`, port, `port is not valid: ${problems.join(',')}`))
  }
  if (path !== undefined) checkPath(out, `${field}.path`, path)
}

function checkPath(out: FieldError[], field: string, path: string): void {
  if (path === '' || path === '/') return
  if (path === '//') {
    out.push(invalid(field, path, 'segment[0] may not be empty'))
    return
  }
  if (!path.startsWith('/')) out.push(invalid(field, path, "must start with a '/'"))
  for (const [index, step] of path.slice(1).replace(/\/$/, '').split('/').entries()) {
    if (step === '') out.push(invalid(field, path, `segment[${index}] may not be empty`))
    else {
      for (const problem of checkDns1123Subdomain(step)) {
        out.push(invalid(field, path, `segment[${index}]: ${problem}`))
      }
    }
  }
}
