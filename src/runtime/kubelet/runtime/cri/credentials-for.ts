/** Which of a pod's registry credentials belong to an image (pure), as upstream's keyring finds them. */

import { longImageName, registryOf } from '../../image-name.ts'
import type { RegistryCredentials } from '../runtime.ts'

const DOCKER_HOSTS = ['index.docker.io', 'registry-1.docker.io']

/** All that fit, each to be tried: the longer its path the earlier, and those of one place in their order. */
export function loginsFor(
  image: string,
  credentials: readonly RegistryCredentials[],
): readonly RegistryCredentials[] {
  const name = longImageName(image)
  const fitting = credentials
    .map(login => ({ login, place: placeOf(login.server) }))
    .filter(({ place }) => isBelow(name, place))
  const byPlace = (one: string, other: string) => (one < other ? 1 : one > other ? -1 : 0)
  return fitting.sort((one, other) => byPlace(one.place, other.place)).map(({ login }) => login)
}

/** Whether a place with patterns is that of an image in its long form. */
export const isFor = (name: string, place: string): boolean => isBelow(name, placeOf(place))

/** The first of them. */
export function credentialsFor(
  image: string,
  credentials: readonly RegistryCredentials[],
): { username: string; password: string } | undefined {
  const [found] = loginsFor(image, credentials)
  return found && { username: found.username, password: found.password }
}

/** `https://index.docker.io/v1/`, `registry.example:5000/team` and `*.example.com` alike: host and path. */
function placeOf(server: string): string {
  const [host = '', ...path] = server.replace(/^https?:\/\//, '').split('/')
  const beyond = path[0] === 'v1' || path[0] === 'v2' ? path.slice(1) : path
  const registry = DOCKER_HOSTS.includes(host) ? 'docker.io' : host
  return [registry, ...beyond].join('/').replace(/\/+$/, '')
}

function isBelow(name: string, place: string): boolean {
  const [host = '', ...path] = place.split('/')
  const registry = registryOf(name)
  if (!fitsHost(registry, host)) return false
  return name.slice(registry.length + 1).startsWith(path.join('/'))
}

/** `*` and `?` stand for parts of one part between dots; ports are said in full. */
function fitsHost(registry: string, pattern: string): boolean {
  if (!/[*?]/.test(pattern)) return registry === pattern
  const portOf = (host: string) => /:(.*)$/.exec(host)?.[1]
  if (portOf(registry) !== portOf(pattern)) return false
  const words = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  const expression = words.replaceAll('*', '[^.:]*').replaceAll('?', '[^.:]')
  return new RegExp(`^${expression}$`).test(registry)
}
