/** Which nodes cannot run an add-on, and which of its images they lack, out of what the nodes say of themselves. Pure. */
import type { Node } from '../../kube/types.ts'
import type { AddonDefinition } from './definition.ts'

/** One sentence for each. Platforms and runtimes count only where no node will do. */
export function unfitNodes({ name, platforms, runtimes }: AddonDefinition, nodes: readonly Node[]): string[] {
  const bad = nodes.flatMap(node => {
    const info = node.status?.nodeInfo
    const platform = `${info?.operatingSystem}/${info?.architecture}`
    const runtime = runtimeOf(node)
    const at = `node ${node.metadata.name}`
    if (platforms.length > 0 && !platforms.includes(platform))
      return [`${name} needs ${platforms.join(' or ')}, and ${at} is ${platform}`]
    if (runtimes.length > 0 && !runtimes.includes(runtime))
      return [`${name} needs the runtime ${runtimes.join(' or ')}, and ${at} has ${runtime}`]
    return []
  })
  return nodes.length > 0 && bad.length === nodes.length ? bad : []
}

/** What the runtime `oci` drives; its nodes name that one. */
const OCI_PROGRAMS: readonly string[] = ['runc', 'crun']

/** As NodeConfig names it. */
export function runtimeOf({ status }: Node): string {
  const [name = ''] = (status?.nodeInfo?.containerRuntimeVersion ?? '').split('://')
  return OCI_PROGRAMS.includes(name) ? 'oci' : name.replace(/^mk8s-/, '')
}

/** Kubelets tell of no more images than this, so a node that tells of so many may have others. */
const TOLD_MAX = 50

export function missingImages(
  images: readonly string[],
  nodes: readonly Node[],
): { readonly image: string; readonly node: string }[] {
  return nodes.flatMap(({ metadata, status }) => {
    const told = status?.images ?? []
    if (told.length >= TOLD_MAX) return []
    const present = new Set(told.flatMap(({ names }) => (names ?? []).map(fullName)))
    const lacking = images.filter(image => !present.has(fullName(image)))
    return lacking.map(image => ({ image, node: metadata.name ?? '' }))
  })
}

/** As registries know it: `busybox` is `docker.io/library/busybox:latest`. */
export function fullName(image: string): string {
  const registry = registryOf(image)
  const rest = image.startsWith(`${registry}/`) ? image.slice(registry.length + 1) : image
  const path = registry === DOCKER && !rest.includes('/') ? `library/${rest}` : rest
  const isTagged = path.includes('@') || /:[^/]+$/.test(path)
  return `${registry}/${path}${isTagged ? '' : ':latest'}`
}

const DOCKER = 'docker.io'

export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/')
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  return isHost ? first : DOCKER
}
