/** Other nodes of the cluster that have an image: they are asked for blobs before its registry is. */
import { type Clock, endsWithin } from '../../../../../base/clock.ts'
import { Mk8sError } from '../../../../../base/errors.ts'
import { registryOf } from '../../../image-name.ts'
import type { PeerIdentity, PeerNode, Peers } from '../../runtime.ts'
import { securedFetch } from './proxied-fetch.ts'
import { type ImageSource, RegistryClient } from './registry-client.ts'

export interface WantedImage {
  /** In its long form. */
  readonly name: string
  readonly repository: string
}

/** So many are asked, all at once. */
const PEERS_MAX = 16
/** Whoever takes longer for a manifest is not near. */
const ANSWER_MS_MAX = 3_000

export class PeerSources {
  readonly #peers: Peers
  readonly #clock: Clock

  constructor(peers: Peers, clock: Clock) {
    this.#peers = peers
    this.#clock = clock
  }

  /** Those that have this manifest. */
  async having(image: WantedImage, digest: string): Promise<readonly ImageSource[]> {
    const sources = await this.named(image)
    const answers = await Promise.all(
      sources.map(source =>
        source.manifest(digest).then(
          () => [source],
          () => [],
        ),
      ),
    )
    return answers.flat()
  }

  /** Those that may know it by its name, the likeliest first; none when nobody knows the nodes. */
  async named({ name, repository }: WantedImage): Promise<readonly ImageSource[]> {
    const nodes = await this.#peers.nodes().catch(() => [])
    const likely = (node: PeerNode) => (node.images.includes(name) ? 0 : 1)
    const asked = nodes.toSorted((one, other) => likely(one) - likely(other)).slice(0, PEERS_MAX)
    if (asked.length === 0) return []
    const fetch = securedFetch(optionsOf(this.#peers.identity()))
    return asked.map(({ nodeName, host }) => {
      // Of two that pull at once one waits for what the other is getting, and never each for the other.
      const waits = this.#peers.nodeName > nodeName
      const query = new URLSearchParams({
        ns: registryOf(name),
        architecture: process.arch,
        ...(waits && { wait: 'true' }),
      })
      const base = `https://${host}/v2`
      const clock = this.#clock
      const client = new RegistryClient({
        base,
        repository,
        query: `${query}`,
        login: undefined,
        clock,
        fetch,
      })
      return this.#hasty(client)
    })
  }

  #hasty(client: RegistryClient): ImageSource {
    return {
      manifest: async reference => {
        const answer = client.manifest(reference)
        if (await endsWithin(this.#clock, ANSWER_MS_MAX, answer)) return answer
        throw new Mk8sError('kubelet/runtime', `no answer within ${ANSWER_MS_MAX} ms`)
      },
      blob: (digest, fromByte) => client.blob(digest, fromByte),
    }
  }
}

/** Nodes have certificates of the cluster's authority and of nobody else. */
const optionsOf = ({ certificate: cert, key, authority: ca }: PeerIdentity) => ({ cert, key, ca })
