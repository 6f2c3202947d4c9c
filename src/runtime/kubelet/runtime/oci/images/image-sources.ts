/** Where an image is asked for, in which order, with which credentials: its mirrors, and its registry at the end. */
import type { Clock } from '../../../../../base/clock.ts'
import { endpointsOf, type Registries } from '../../../../../kube/registries/registries.ts'
import { registryOf } from '../../../image-name.ts'
import { credentialsFor } from '../../cri/credentials-for.ts'
import type { RegistryCredentials } from '../../runtime.ts'
import { type Fetch, fetchFor } from './proxied-fetch.ts'
import { type ImageSource, RegistryClient } from './registry-client.ts'

export interface SourceParts {
  /** In its long form. */
  readonly name: string
  readonly repository: string
  readonly credentials: readonly RegistryCredentials[]
  readonly registries: Registries
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
}

/** The registry that has the images without a registry in their name. */
const DOCKER_BASE = 'https://registry-1.docker.io/v2'
/** What runs on this machine itself needs no certificate, and no proxy. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/

export function sourcesOf(parts: SourceParts): ImageSource[] {
  const { name, repository, credentials, registries, env, clock } = parts
  const registry = registryOf(name)
  const endpoints = endpointsOf(registries, { registry, repository, ownBase: ownBase(registry) })
  return endpoints.map(endpoint => {
    const { base, host, settings } = endpoint
    // A pod's secrets are for the registries that they name, and come before what the cluster has.
    const login = credentialsFor(`${host}/${endpoint.repository}`, credentials) ?? settings.login
    const fetch: Fetch = fetchFor(LOOPBACK.test(new URL(base).host) ? {} : env, settings.tls)
    return new RegistryClient({ base, repository: endpoint.repository, login, clock, fetch })
  })
}

function ownBase(registry: string): string {
  if (registry === 'docker.io') return DOCKER_BASE
  return `${LOOPBACK.test(registry) ? 'http' : 'https'}://${registry}/v2`
}
