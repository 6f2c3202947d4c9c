/** Which protocol a client gets: the names of the streaming protocols, and the choice among them (pure). */

/** Between versions 1 and 4 the error stream changed from text to a Status. */
export interface RemoteCommandProtocol {
  readonly name: string
  readonly version: number
  /** Channels are text: a digit, and base64 behind it. */
  readonly isBase64: boolean
}

const command = (name: string, version: number, isBase64 = false): RemoteCommandProtocol => ({
  name,
  version,
  isBase64,
})

/** Of exec and attach over a websocket; no name at all is the oldest one. */
export const WEBSOCKET_COMMAND: readonly RemoteCommandProtocol[] = [
  command('v5.channel.k8s.io', 5),
  command('v4.channel.k8s.io', 4),
  command('v4.base64.channel.k8s.io', 4, true),
  command('channel.k8s.io', 1),
  command('base64.channel.k8s.io', 1, true),
  command('', 1),
]

/** Of exec and attach over SPDY. */
export const SPDY_COMMAND: readonly RemoteCommandProtocol[] = [
  command('v4.channel.k8s.io', 4),
  command('v3.channel.k8s.io', 3),
  command('v2.channel.k8s.io', 2),
  command('channel.k8s.io', 1),
]

export const PORT_FORWARD = 'portforward.k8s.io'
/** SPDY frames as websocket messages, which passes proxies that know no SPDY. */
export const TUNNELLED_PORT_FORWARD: readonly string[] = [`SPDY/3.1+${PORT_FORWARD}`, `v2.${PORT_FORWARD}`]
/** Port forwarding of older websocket clients: two channels for each port in the query. */
export const CHANNEL_PORT_FORWARD: readonly RemoteCommandProtocol[] = [
  command('v4.channel.k8s.io', 4),
  command('v4.base64.channel.k8s.io', 4, true),
  command('', 4),
]

/** Names in a header, in the client's order of preference. */
export function parseProtocols(header: string | undefined): string[] {
  return (header ?? '')
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
}

/** The first of the client's names that is known; undefined when there is none. */
export function choose<T extends { readonly name: string }>(
  offered: readonly string[],
  known: readonly T[],
): T | undefined {
  for (const name of offered) {
    const found = known.find(one => one.name === name)
    if (found !== undefined) return found
  }
  return undefined
}
