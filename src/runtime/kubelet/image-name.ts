/** Names of images (pure): which are well formed, and their long form. */

const DOMAIN_PART = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const DOMAIN = `(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const NAME = `(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*`
const TAG = '[\\w][\\w.-]{0,127}'
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}'
const REFERENCE = new RegExp(`^(${NAME})(?::(${TAG}))?(?:@(${DIGEST}))?$`)
const NAME_LENGTH_MAX = 255

const DEFAULT_REGISTRY = 'docker.io'

/** Undefined when the name is well formed; else what is wrong, in the words of the reference library. */
export function imageNameProblem(image: string): string | undefined {
  const match = REFERENCE.exec(image)
  if (match === null) {
    const isUpperCase = REFERENCE.test(image.toLowerCase())
    return isUpperCase
      ? 'invalid reference format: repository name must be lowercase'
      : 'invalid reference format'
  }
  if ((match[1] ?? '').length > NAME_LENGTH_MAX) {
    return `repository name must not be more than ${NAME_LENGTH_MAX} characters`
  }
  return undefined
}

/** The registry that a name points to. */
export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/')
  const isDomain = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost' || /[A-Z]/.test(first))
  return isDomain ? first : DEFAULT_REGISTRY
}

/** As runtimes keep it: with a registry, and with a tag unless it has a digest. */
export function longImageName(image: string): string {
  const registry = registryOf(image)
  const path = image.startsWith(`${registry}/`) ? image.slice(registry.length + 1) : image
  const owned = registry === DEFAULT_REGISTRY && !path.includes('/') ? `library/${path}` : path
  return `${registry}/${/[:@]/.test(owned) ? owned : `${owned}:latest`}`
}
