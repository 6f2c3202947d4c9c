/** Before an add-on is enabled: whether the nodes can run it, and have its images or can get them. */
import { Mk8sError } from '../../base/errors.ts'
import { NODES } from '../../client/resources.ts'
import type { Node } from '../../kube/types.ts'
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
  const registries = [...new Set(missing.map(({ image }) => registryOf(image)))]
  const answers = await Promise.all(registries.map(async name => [name, await answersAt(name)] as const))
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

/** Whatever it says, it is there to be asked. */
async function answersAt(registry: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(REGISTRY_MS_MAX)
    const answer = await fetch(`https://${registry}/v2/`, { method: 'HEAD', signal, redirect: 'manual' })
    return answer.status < 500
  } catch {
    return false
  }
}
