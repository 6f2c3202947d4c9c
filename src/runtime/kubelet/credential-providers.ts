/**
 * Logins of the node itself for registries, from credential provider plugins: programs that are asked about an image
 * on standard input and answer on standard output, as upstream's kubelet has it (`credentialprovider.kubelet.k8s.io/v1`).
 */
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { runProgram } from '../../host/programs.ts'
import { isMap } from '../../kube/json-map.ts'
import { parseGoDuration } from '../../kube/time.ts'
import { parseYaml } from '../../kube/yaml.ts'
import { longImageName, registryOf } from './image-name.ts'
import { isFor } from './runtime/cri/credentials-for.ts'
import type { RegistryCredentials } from './runtime/runtime.ts'

const CONFIG_GROUP = /^kubelet\.config\.k8s\.io\/v1(beta1|alpha1)?$/
const API_GROUP = 'credentialprovider.kubelet.k8s.io/'
const API_VERSION = /^credentialprovider\.kubelet\.k8s\.io\/v1(beta1|alpha1)?$/
const NAME = /^[^/\s]+$/
const ASK_MS_MAX = 60_000
/** The oldest answers are asked for anew. */
const ANSWERS_MAX = 1_000

export interface CredentialProvider {
  readonly name: string
  readonly matchImages: readonly string[]
  readonly defaultCacheMs: number
  readonly apiVersion: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface ProviderSettings {
  readonly providers: readonly CredentialProvider[]
  /** Where the programs lie, by the providers' names. */
  readonly directory: string
}

export const NO_PROVIDERS: ProviderSettings = { providers: [], directory: '' }

interface Answer {
  readonly logins: readonly RegistryCredentials[]
  readonly untilMs: number
}

export class CredentialProviders {
  readonly #parts: ProviderSettings & { readonly clock: Clock; readonly log: Log }
  readonly #answers = new Map<string, Answer>()
  /** Questions under way: pods that come at once ask once. */
  readonly #asking = new Map<string, Promise<readonly RegistryCredentials[]>>()

  constructor(parts: ProviderSettings & { readonly clock: Clock; readonly log: Log }) {
    this.#parts = parts
  }

  /** Of all providers that know its registry; one that fails has none. */
  async loginsFor(image: string): Promise<readonly RegistryCredentials[]> {
    const name = longImageName(image).replace(/(:[^:/@]+)?(@.*)?$/, '')
    const fitting = this.#parts.providers.filter(({ matchImages }) =>
      matchImages.some(place => isFor(name, place)),
    )
    const found = await Promise.all(fitting.map(provider => this.#ofProvider(provider, name)))
    return found.flat()
  }

  #ofProvider(provider: CredentialProvider, image: string): Promise<readonly RegistryCredentials[]> {
    const known = this.#known(provider, image)
    if (known !== undefined) return Promise.resolve(known)
    const key = JSON.stringify([provider.name, image])
    const asking = this.#asking.get(key)
    if (asking !== undefined) return asking
    const asked = this.#ask(provider, image)
      .catch(error => {
        const why = messageOf(error)
        this.#parts.log.warn('a credential provider plugin fails', { provider: provider.name, image, why })
        return []
      })
      .finally(() => this.#asking.delete(key))
    this.#asking.set(key, asked)
    return asked
  }

  #known({ name }: CredentialProvider, image: string): readonly RegistryCredentials[] | undefined {
    const keys = Object.values(keysOf(name, image))
    const now = this.#parts.clock.monotonic()
    return keys.map(key => this.#answers.get(key)).find(answer => answer && answer.untilMs > now)?.logins
  }

  async #ask(provider: CredentialProvider, image: string): Promise<readonly RegistryCredentials[]> {
    const { directory, clock } = this.#parts
    const { name, apiVersion, args, env, defaultCacheMs } = provider
    const input = JSON.stringify({ kind: 'CredentialProviderRequest', apiVersion, image })
    const { stdout } = await runProgram(join(directory, name), args, { input, env, timeoutMs: ASK_MS_MAX })
    const { logins, sort, cacheMs = defaultCacheMs } = readAnswer(stdout, apiVersion)
    if (cacheMs > 0) {
      const key = keysOf(name, image)[sort]
      this.#answers.delete(key)
      this.#answers.set(key, { logins, untilMs: clock.monotonic() + cacheMs })
      const [oldest] = this.#answers.keys()
      if (this.#answers.size > ANSWERS_MAX && oldest !== undefined) this.#answers.delete(oldest)
    }
    return logins
  }
}

type Sort = 'Image' | 'Registry' | 'Global'

const keysOf = (name: string, image: string): Readonly<Record<Sort, string>> => ({
  Image: JSON.stringify([name, 'Image', image]),
  Registry: JSON.stringify([name, 'Registry', registryOf(image)]),
  Global: JSON.stringify([name, 'Global']),
})

interface ReadAnswer {
  readonly logins: readonly RegistryCredentials[]
  readonly sort: Sort
  readonly cacheMs?: number
}

/** What a plugin says is never part of a message: it holds passwords. */
function readAnswer(text: string, apiVersion: string): ReadAnswer {
  const answer = parsed(text)
  if (answer?.['kind'] !== 'CredentialProviderResponse' || answer['apiVersion'] !== apiVersion)
    throw new Error(`the plugin does not answer with a CredentialProviderResponse of ${apiVersion}`)
  const { cacheKeyType, cacheDuration, auth } = answer
  if (cacheKeyType !== 'Image' && cacheKeyType !== 'Registry' && cacheKeyType !== 'Global')
    throw new Error('the plugin says no cacheKeyType of Image, Registry and Global')
  const cacheMs = typeof cacheDuration === 'string' ? parseGoDuration(cacheDuration) : null
  const logins = Object.entries(isMap(auth) ? auth : {}).flatMap(([server, login]) => {
    if (!isMap(login)) return []
    const { username = '', password = '' } = login
    return [{ server, username: String(username), password: String(password) }]
  })
  return { logins, sort: cacheKeyType, ...(cacheMs === null ? {} : { cacheMs }) }
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isMap(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** A CredentialProviderConfig. Throws `config/invalid`. */
export function parseProviders(text: string): readonly CredentialProvider[] {
  const config = parseYaml(text)
  if (!isMap(config) || config['kind'] !== 'CredentialProviderConfig') throw invalid('it is none')
  if (!CONFIG_GROUP.test(String(config['apiVersion']))) throw invalid('its apiVersion is not known')
  const { providers } = config
  if (!Array.isArray(providers) || providers.length === 0)
    throw invalid('at least 1 item in plugins is required')
  const read = providers.map(parseProvider)
  const names = read.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw invalid(`provider name "${twice}" is there twice`)
  return read
}

function parseProvider(value: unknown): CredentialProvider {
  const {
    name,
    matchImages,
    defaultCacheDuration,
    apiVersion,
    args = [],
    env = [],
    tokenAttributes,
  } = isMap(value) ? value : {}
  if (typeof name !== 'string' || !NAME.test(name) || name.startsWith('.'))
    throw invalid(`${JSON.stringify(name)} cannot be a provider's name`)
  const fail = (why: string) => invalid(`provider "${name}": ${why}`)
  if (tokenAttributes !== undefined) throw fail('tokenAttributes are not supported')
  if (!isTexts(matchImages) || matchImages.length === 0)
    throw fail('at least 1 item in matchImages is required')
  if (!API_VERSION.test(String(apiVersion))) throw fail(`apiVersion has to be ${API_GROUP}v1`)
  const defaultCacheMs = parseGoDuration(String(defaultCacheDuration))
  if (defaultCacheMs === null || defaultCacheMs < 0) throw fail('defaultCacheDuration is required')
  if (!isTexts(args)) throw fail('args are texts')
  const variables = Array.isArray(env) ? env.filter(isMap) : []
  const pairs = variables.map(each => [String(each['name']), String(each['value'] ?? '')] as const)
  const given = { args, env: Object.fromEntries(pairs) }
  return { name, matchImages, defaultCacheMs, apiVersion: String(apiVersion), ...given }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every(each => typeof each === 'string')

const invalid = (why: string) =>
  new Mk8sError('config/invalid', 'imageCredentialProviderConfig cannot be used', {
    why,
    hint: 'it is a CredentialProviderConfig of kubelet.config.k8s.io/v1',
  })
