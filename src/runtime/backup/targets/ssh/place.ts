/** Where a target behind SSH is, read from its URL: `ssh://user@host[:port]/path` or `rsync://user@host[:port]/path`. */
import { Mk8sError } from '../../../../base/errors.ts'

export interface SshPlace {
  readonly user: string
  /** An IPv6 address without brackets. */
  readonly host: string
  readonly port: number
  /** Absolute, or below the home directory as `./path`. */
  readonly path: string
  /** Keys of the host that the URL names, as in a known_hosts line: `ssh-ed25519 AAAA…`. */
  readonly hostKeys: readonly string[]
  /** As people are told. */
  readonly shown: string
}

const SSH_PORT = 22
const HOST_KEYS_MAX = 8
const EXAMPLE = 'for example ssh://backup@nas.example.com/srv/backups, or /~/backups below the home directory'

/** Throws `config/invalid`. */
export function parseSshPlace(url: URL): SshPlace {
  const shown = shownOf(url)
  const refuse = (why: string) =>
    new Mk8sError('config/invalid', `backups cannot go to ${shown}`, { why, hint: EXAMPLE })
  const user = decode(url.username)
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(user)) throw refuse('it has to name the user, user@host')
  const host = url.hostname.replaceAll(/[[\]]/g, '')
  if (!/^[A-Za-z0-9:][A-Za-z0-9.:_-]{0,252}$/.test(host)) throw refuse(`${host || 'nothing'} names no host`)
  if (url.hash !== '') throw refuse('it has a fragment')
  const odd = [...url.searchParams.keys()].find(name => name !== 'host-key')
  if (odd !== undefined) throw refuse(`${odd} is none of its parameters; there is only host-key`)
  // In a query a plus sign is a space; the only space is the one behind the type.
  const hostKeys = url.searchParams.getAll('host-key').map(key => key.replaceAll(' ', '+').replace('+', ' '))
  if (hostKeys.length > HOST_KEYS_MAX) throw refuse(`it names more than ${HOST_KEYS_MAX} host keys`)
  const wrong = hostKeys.find(key => !/^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$/.test(key))
  if (wrong !== undefined) throw refuse(`the host key ${wrong} is not of the form "ssh-ed25519 AAAA…"`)
  const path = pathOf(decode(url.pathname))
  if (path === null) throw refuse('its path is the root directory, or has characters that no directory has')
  return { user, host, port: Number(url.port) || SSH_PORT, path, hostKeys, shown }
}

/** The URL without what nobody wants to read. */
function shownOf(url: URL): string {
  const shown = new URL(url.href)
  shown.search = ''
  return shown.href
}

function pathOf(path: string): string | null {
  const plain = path.replace(/\/+$/, '')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is refused
  if (plain === '' || /[\u0000-\u001f\u007f]/.test(plain)) return null
  if (plain === '/~') return '.'
  return plain.startsWith('/~/') ? `./${plain.slice(3)}` : plain
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
