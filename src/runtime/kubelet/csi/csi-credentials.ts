/** What a CSI driver is trusted with for one call: Secrets that the volume names, tokens of the pod. Never kept. */
import { messageOf } from '../../../base/errors.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { SECRETS, SERVICE_ACCOUNTS } from '../../../client/resources.ts'
import type { Secret, TokenRequest } from '../../../kube/types.ts'
import type { SecretRef, TokenWish } from './csi-volume.ts'

export const TOKENS_KEY = 'csi.storage.k8s.io/serviceAccount.tokens'

export class CsiCredentials {
  readonly #client: KubeClient

  constructor(client: KubeClient) {
    this.#client = client
  }

  /** `what` is the field that names the Secret, for the message. */
  async secretOf(ref: SecretRef | undefined, what: string): Promise<Readonly<Record<string, string>>> {
    if (ref === undefined) return {}
    try {
      const { data = {} } = await this.#client.get<Secret>(SECRETS, ref)
      const texts = Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()])
      return Object.fromEntries(texts)
    } catch (error) {
      throw new Error(`fetching ${what} ${ref.namespace}/${ref.name} failed: ${messageOf(error)}`)
    }
  }

  /** As the driver reads them: JSON by audience; null when it wants none. */
  async tokensOf(wish: TokenWish | null): Promise<string | null> {
    if (wish === null) return null
    const tokens: Record<string, object> = {}
    for (const wanted of wish.audiences) tokens[wanted.audience] = await this.#request(wish, wanted)
    return JSON.stringify(tokens)
  }

  async #request(
    { namespace, account, podName, podUid }: TokenWish,
    { audience, expirationSeconds }: TokenWish['audiences'][number],
  ): Promise<object> {
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: audience === '' ? [] : [audience],
        ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: podName, uid: podUid },
      },
    }
    const { status } = await this.#client.create<TokenRequest>(SERVICE_ACCOUNTS, request, {
      ...{ namespace, name: account, subresource: 'token' },
    })
    return { token: status?.token ?? '', expirationTimestamp: status?.expirationTimestamp ?? '' }
  }
}
