/** Before an add-on is enabled: whether the nodes can run it, and have its images or can get them. */
import { Mk8sError, systemCodeOf } from '../../base/errors.ts'
import { CONFIG_MAPS, NODES } from '../../client/resources.ts'
import { isNotFound } from '../../client/status-errors.ts'
import {
  endpointsOf,
  mergeRegistries,
  REGISTRIES_NAME,
  REGISTRIES_NAMESPACE,
  type Registries,
} from '../../kube/registries/registries.ts'
import type { ConfigMap, Node } from '../../kube/types.ts'
import type { AddonSource } from '../../runtime/addons/bundle.ts'
import { missingImages, registryOf, unfitNodes } from '../../runtime/addons/check-nodes.ts'
import type { AddonCluster } from './cluster.ts'

/** How long a registry may take to say anything at all. */
const REGISTRY_MS_MAX = 4_000

export async function checkNodes(
  { client }: AddonCluster,
  sources: readonly AddonSource[],
  { checkImages }: { readonly checkImages: boolean },
): Promise<void> {
  const { items: nodes } = await client.list<Node>(NODES)
  const unfit = sources.flatMap(({ definition }) => unfitNodes(definition, nodes))
  if (unfit.length > 0)
    throw new Mk8sError('addon/missing', 'the nodes cannot run this add-on', { why: unfit.join('\n') })
  if (!checkImages) return
  const images = [...new Set(sources.flatMap(({ definition }) => definition.images))]
  const missing = missingImages(images, nodes)
  const { registries } = mergeRegistries(await registryTexts(client), {})
  const names = [...new Set(missing.map(({ image }) => registryOf(image)))]
  const answers = await Promise.all(
    names.map(async name => [name, await isServed(registries, name)] as const),
  )
  const silent = new Map(answers.filter(([, ok]) => !ok))
  const lost = missing.filter(({ image }) => silent.has(registryOf(image)))
  if (lost.length === 0) return
  throw new Mk8sError('addon/missing', 'images are missing', {
    why: lost
      .map(({ image, node }) => `${image} is not on node ${node}, and ${registryOf(image)} does not answer`)
      .join('\n'),
    hint: 'mk8s images import ARCHIVE brings them to all nodes; --skip-image-check goes on without',
  })
}

/** Mirrors count as well. A proxy would have to be asked in each node's place. */
async function isServed(registries: Registries, registry: string): Promise<boolean> {
  if (process.env['HTTPS_PROXY'] || process.env['https_proxy']) return true
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry
  const ownBase = `${/^(localhost|127\.)/.test(host) ? 'http' : 'https'}://${host}/v2`
  const endpoints = endpointsOf(registries, { registry, repository: '', ownBase })
  const answers = await Promise.all(endpoints.map(({ base }) => answersAt(base)))
  return answers.includes(true)
}

/** What is there to be asked answers somehow: with a refusal, or a certificate that only nodes are told to trust. */
async function answersAt(base: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(REGISTRY_MS_MAX)
    await fetch(`${base}/`, { method: 'HEAD', signal, redirect: 'manual' })
    return true
  } catch (error) {
    const code = systemCodeOf((error as Error).cause)
    return code !== undefined && /CERT|SELF_SIGNED|ISSUER|SSL|TLS/.test(code)
  }
}

/** Credentials, which are in a Secret, are not needed to see whether it answers. */
async function registryTexts(client: AddonCluster['client']): Promise<Readonly<Record<string, string>>> {
  try {
    const options = { namespace: REGISTRIES_NAMESPACE, name: REGISTRIES_NAME }
    return (await client.get<ConfigMap>(CONFIG_MAPS, options)).data ?? {}
  } catch (error) {
    if (isNotFound(error)) return {}
    throw error
  }
}
