/** What containerd is told of registries: a directory `certs.d/<host>` each, which it reads anew for every pull. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readOrEmpty, writeFileDurably } from '../../../../host/files.ts'
import {
  endpointsOf,
  type Registries,
  type RegistryEndpoint,
} from '../../../../kube/registries/registries.ts'

/** By the path below `certs.d`. */
export type HostFiles = ReadonlyMap<string, string>

const DOCKER = 'https://registry-1.docker.io'
const FILES = ['hosts.toml', 'ca.crt', 'client.cert', 'client.key']
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/
/** TOML's basic strings are JSON's. */
const text = (value: string) => JSON.stringify(value)

/**
 * Pure. `directory` is where they will lie; `peers` is asked before all others for what a digest names. Rewriting is
 * not among what containerd can do.
 */
export function renderRegistryHosts(registries: Registries, directory: string, peers?: string): HostFiles {
  const files = new Map<string, string>()
  const first = peers === undefined ? [] : [renderPeers(peers)]
  const hosts = new Set([...registries.mirrors.keys(), ...registries.hosts.keys()])
  if (peers !== undefined) hosts.add('*')
  for (const host of hosts) {
    const folder = folderOf(host)
    const server = host === 'docker.io' ? DOCKER : `${LOOPBACK.test(host) ? 'http' : 'https'}://${host}`
    const image = { registry: host, repository: '', ownBase: `${server}/v2` }
    // What the star stands for is known only when a registry is asked for.
    const endpoints = endpointsOf(registries, image).filter(({ host: to }) => to !== '*')
    const sections = endpoints.map((endpoint, index) => {
      const of = (name: string) => join(directory, folder, `${index}-${name}`)
      const { ca, cert, key } = endpoint.settings.tls
      if (ca !== undefined) files.set(join(folder, `${index}-ca.crt`), ca)
      if (cert !== undefined) files.set(join(folder, `${index}-client.cert`), cert)
      if (key !== undefined) files.set(join(folder, `${index}-client.key`), key)
      return renderHost(endpoint, { of, isOwn: endpoint.host === host })
    })
    const head = host === '*' ? [] : [`server = ${text(server)}`]
    files.set(join(folder, 'hosts.toml'), `${[...head, ...first, ...sections].join('\n\n')}\n`)
  }
  return files
}

const renderPeers = (url: string): string =>
  [`[host.${text(url)}]`, '  capabilities = ["pull"]', '  override_path = true'].join('\n')

interface Place {
  readonly of: (file: string) => string
  /** The registry itself: its credentials come with each pull. */
  readonly isOwn: boolean
}

function renderHost({ base, settings }: RegistryEndpoint, { of, isOwn }: Place): string {
  const { ca, cert, key, insecureSkipVerify } = settings.tls
  const { origin, pathname } = new URL(base)
  const hasPath = pathname !== '/v2'
  const client =
    cert === undefined || key === undefined ? [] : [`[${text(of('client.cert'))}, ${text(of('client.key'))}]`]
  const own = isOwn ? undefined : basic(settings.login)
  return [
    `[host.${text(hasPath ? base : origin)}]`,
    '  capabilities = ["pull", "resolve"]',
    ...(hasPath ? ['  override_path = true'] : []),
    ...(insecureSkipVerify ? ['  skip_verify = true'] : []),
    ...(ca === undefined ? [] : [`  ca = ${text(of('ca.crt'))}`]),
    ...client.map(pair => `  client = [${pair}]`),
    ...(own === undefined
      ? []
      : [`  [host.${text(hasPath ? base : origin)}.header]`, `    authorization = ${text(own)}`]),
  ].join('\n')
}

const basic = (login: { readonly username: string; readonly password: string } | undefined) =>
  login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`

const folderOf = (host: string) => (host === '*' ? '_default' : host)

/** Only what changed is written, and what nobody wants any more goes; files of others in there stay. */
export function writeRegistryHosts(directory: string, files: HostFiles): void {
  const wanted = [...files.keys()]
  for (const folder of readdirSync(directory)) {
    const path = join(directory, folder)
    for (const name of readdirSync(path)) {
      const isOurs = FILES.some(file => name === file || new RegExp(`^\\d+-${file}$`).test(name))
      if (isOurs && !wanted.includes(join(folder, name))) rmSync(join(path, name))
    }
    if (readdirSync(path).length === 0) rmSync(path, { recursive: true })
  }
  // What a hosts.toml names is there before it is.
  for (const path of wanted.sort(
    (one, other) => Number(one.endsWith('.toml')) - Number(other.endsWith('.toml')),
  )) {
    const content = files.get(path) ?? ''
    mkdirSync(join(directory, path, '..'), { recursive: true, mode: 0o700 })
    if (readOrEmpty(join(directory, path)) !== content)
      writeFileDurably(join(directory, path), content, 0o600)
  }
}
