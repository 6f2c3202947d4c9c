/** Where releases come from: a directory, a file of one, or a URL; with `channels.json` a place with several of them. */
import { createReadStream, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import {
  assertSigned,
  CHANNELS,
  CHANNELS_SIGNATURE,
  parseChannels,
  parseRelease,
  parseSums,
  RELEASE,
  SIGNATURE,
  SUMS,
} from './release.ts'

const SMALL_BYTES_MAX = 256 * 1024
const SMALL_MS_MAX = 30_000
const LARGE_MS_MAX = 30 * 60_000
export const CHANNEL_DEFAULT = 'stable'

/** A place with files. */
interface Place {
  readonly name: string
  /** Null when there is no such file. */
  readSmall(name: string): Promise<Buffer | null>
  open(name: string): Promise<Readable>
  below(directory: string): Place
}

export interface Release {
  readonly version: string
  readonly sums: Buffer
  readonly signature: string
  /** Of the executable of this name. */
  sumOf(name: string): string
  open(name: string): Promise<Readable>
}

export interface Wanted {
  readonly from: string
  readonly channel?: string | undefined
  readonly version?: string | undefined
  readonly keys: readonly string[]
}

/** A release whose list of sums was verified; its executables are not read yet. */
export async function openRelease({ from, channel, version, keys }: Wanted): Promise<Release> {
  const place = placeOf(from)
  const channels = await place.readSmall(CHANNELS)
  if (channels === null) {
    const release = await releaseIn(place, keys)
    if (version === undefined || version === release.version) return release
    throw new Mk8sError('usage', `${from} is the release ${release.version}, not ${version}`)
  }
  const signature = String((await place.readSmall(CHANNELS_SIGNATURE)) ?? '')
  assertSigned({ bytes: channels, signature }, keys, CHANNELS)
  const chosen = version ?? versionIn(parseChannels(channels.toString('utf8')), channel ?? CHANNEL_DEFAULT)
  return releaseIn(place.below(chosen), keys)
}

function versionIn(channels: ReadonlyMap<string, string>, channel: string): string {
  const version = channels.get(channel)
  if (version !== undefined) return version
  throw new Mk8sError('usage', `there is no channel ${channel}`, {
    hint: `there are: ${[...channels.keys()].join(', ')}`,
  })
}

async function releaseIn(place: Place, keys: readonly string[]): Promise<Release> {
  const bytes = await required(place, SUMS)
  const signature = (await required(place, SIGNATURE)).toString('utf8')
  assertSigned({ bytes, signature }, keys, place.name)
  const sums = parseSums(bytes.toString('utf8'))
  const sumOf = (name: string) => {
    const sum = sums.get(name)
    if (sum !== undefined) return sum
    throw new Mk8sError('host/unsupported', `the release has nothing for this platform (${name})`)
  }
  const release = await required(place, RELEASE)
  const { createHash } = await import('node:crypto')
  if (createHash('sha256').update(release).digest('hex') !== sumOf(RELEASE))
    throw new Mk8sError('upgrade/damaged', `${RELEASE} is not what the release's list of sums says`)
  return {
    ...parseRelease(release.toString('utf8')),
    ...{ sums: bytes, signature, sumOf },
    open: name => place.open(name),
  }
}

async function required(place: Place, name: string): Promise<Buffer> {
  const bytes = await place.readSmall(name)
  if (bytes !== null) return bytes
  if (name === SIGNATURE)
    throw new Mk8sError('upgrade/unsigned', `${place.name} has no signature (${SIGNATURE})`, {
      hint: 'get the release from where it is published',
    })
  throw new Mk8sError('upgrade/source', `${place.name} is no release: it has no ${name}`, {
    hint: `a release is a directory or URL with ${SUMS}, ${SIGNATURE}, ${RELEASE} and executables`,
  })
}

function placeOf(from: string): Place {
  if (/^https?:\/\//.test(from)) return urlPlace(from.replace(/\/*$/, '/'))
  const stat = statSync(from, { throwIfNoEntry: false })
  if (stat === undefined) throw new Mk8sError('upgrade/source', `${from} does not exist`)
  return directoryPlace(stat.isDirectory() ? from : dirname(from))
}

function directoryPlace(directory: string): Place {
  return {
    name: directory,
    async readSmall(name) {
      try {
        return await readFile(join(directory, name))
      } catch (error) {
        if ((error as { code?: string }).code === 'ENOENT') return null
        throw unreadable(`${directory}/${name}`, error)
      }
    },
    open: async name => createReadStream(join(directory, name)),
    below: name => directoryPlace(join(directory, name)),
  }
}

/** What the system's administrator trusts counts beside what Node brings; whose release it is says its signature. */
function trustSystemAuthorities(): void {
  const own = getCACertificates('system')
  if (own.length > 0) setDefaultCACertificates([...new Set([...getCACertificates('default'), ...own])])
}

function urlPlace(base: string): Place {
  if (base.startsWith('https:')) trustSystemAuthorities()
  const get = async (name: string, limitMs: number) => {
    try {
      return await fetch(new URL(name, base), { signal: AbortSignal.timeout(limitMs) })
    } catch (error) {
      throw unreadable(`${base}${name}`, error)
    }
  }
  return {
    name: base,
    async readSmall(name) {
      const answer = await get(name, SMALL_MS_MAX)
      if (answer.status === 404) return null
      if (!answer.ok) throw unreadable(`${base}${name}`, new Error(`HTTP status ${answer.status}`))
      const bytes = Buffer.from(await answer.arrayBuffer())
      if (bytes.length > SMALL_BYTES_MAX) throw unreadable(`${base}${name}`, new Error('it is too large'))
      return bytes
    },
    async open(name) {
      const answer = await get(name, LARGE_MS_MAX)
      if (!answer.ok || answer.body === null)
        throw unreadable(`${base}${name}`, new Error(`HTTP status ${answer.status}`))
      return Readable.fromWeb(answer.body as ReadableStream)
    },
    below: name => urlPlace(`${base}${name}/`),
  }
}

const unreadable = (name: string, cause: unknown): Mk8sError =>
  new Mk8sError('upgrade/source', `${name} cannot be read`, { why: reasonOf(cause), cause })

/** That of a failed fetch is a level deeper. */
function reasonOf(cause: unknown): string {
  const deeper = cause instanceof Error ? cause.cause : undefined
  return deeper instanceof Error ? messageOf(deeper) : messageOf(cause)
}
