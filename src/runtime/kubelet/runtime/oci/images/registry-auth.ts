/** How registries ask for credentials (pure). */

export interface RegistryLogin {
  readonly username: string
  readonly password: string
}

export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service: string; readonly scope: string }

/** Out of the header WWW-Authenticate; undefined when it is none that we know. */
export function parseChallenge(header: string): Challenge | undefined {
  const [scheme = ''] = header.trim().split(/\s+/)
  if (scheme.toLowerCase() === 'basic') return { scheme: 'basic' }
  if (scheme.toLowerCase() !== 'bearer') return undefined
  const parameters = new Map<string, string>()
  for (const [, name = '', quoted, plain] of header.matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]+))/g)) {
    parameters.set(name.toLowerCase(), quoted ?? plain ?? '')
  }
  const realm = parameters.get('realm') ?? ''
  if (!URL.canParse(realm)) return undefined
  return {
    scheme: 'bearer',
    realm,
    service: parameters.get('service') ?? '',
    scope: parameters.get('scope') ?? '',
  }
}

export const basicAuthorization = ({ username, password }: RegistryLogin): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
