/** Service account tokens of pods: asked from the API server, kept, and renewed at 80 % of their life. */
import type { Clock } from '../../../base/clock.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { SERVICE_ACCOUNTS } from '../../../client/resources.ts'
import type { Pod, TokenRequest } from '../../../kube/types.ts'
import { tokenKey } from './render-volume.ts'

export interface ProjectedTokens {
  /** By `tokenKey`. */
  readonly tokens: ReadonlyMap<string, string>
  /** When the next one must be renewed; Infinity for never. */
  readonly renewAtMs: number
}

interface Kept {
  readonly token: string
  readonly renewAtMs: number
}

const DEFAULT_LIFE_SECONDS = 3_600
const RENEW_SHARE = 0.8
/** Tokens are renewed after a day at the latest, however long they live. */
const RENEW_MS_MAX = 24 * 3_600_000

export class TokenSource {
  readonly #client: KubeClient
  readonly #clock: Clock
  readonly #byPod = new Map<string, Map<string, Kept>>()

  constructor(parts: { readonly client: KubeClient; readonly clock: Clock }) {
    this.#client = parts.client
    this.#clock = parts.clock
  }

  async tokensOf(pod: Pod): Promise<ProjectedTokens> {
    const { uid = '' } = pod.metadata
    const kept = this.#byPod.get(uid) ?? new Map<string, Kept>()
    this.#byPod.set(uid, kept)
    const tokens = new Map<string, string>()
    let renewAtMs = Number.POSITIVE_INFINITY
    for (const volume of pod.spec?.volumes ?? []) {
      for (const { serviceAccountToken: wanted } of volume.projected?.sources ?? []) {
        if (!wanted) continue
        const key = tokenKey(wanted)
        let entry = kept.get(key)
        if (entry === undefined || entry.renewAtMs <= this.#clock.now()) {
          entry = await this.#request(pod, wanted)
          kept.set(key, entry)
        }
        tokens.set(key, entry.token)
        renewAtMs = Math.min(renewAtMs, entry.renewAtMs)
      }
    }
    return { tokens, renewAtMs }
  }

  forget(podUid: string): void {
    this.#byPod.delete(podUid)
  }

  async #request(
    pod: Pod,
    wanted: { readonly audience?: string; readonly expirationSeconds?: number },
  ): Promise<Kept> {
    const { name = '', namespace = '', uid = '' } = pod.metadata
    const life = wanted.expirationSeconds ?? DEFAULT_LIFE_SECONDS
    const now = this.#clock.now()
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: wanted.audience ? [wanted.audience] : [],
        expirationSeconds: life,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    }
    const account = pod.spec?.serviceAccountName || 'default'
    const answer = await this.#client.create<TokenRequest>(SERVICE_ACCOUNTS, request, {
      namespace,
      name: account,
      subresource: 'token',
    })
    const renewMs = Math.min(life * 1_000 * RENEW_SHARE, RENEW_MS_MAX)
    return { token: answer.status?.token ?? '', renewAtMs: now + renewMs }
  }
}
