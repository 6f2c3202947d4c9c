/** What `mk8s add-node` asks of the daemon over the admin socket, and the answer. */

export interface AddNodeRequest {
  /** The text of the token; absent to have one made. */
  readonly token?: string
  readonly worker: boolean
  /** How many joins it is good for; null for any number while it lives. */
  readonly uses: number | null
  readonly ttlSeconds: number
}

export interface AddNodeAnswer {
  readonly token: string
  /** SHA-256 of the cluster authority's public key, 64 hexadecimal digits. */
  readonly fingerprint: string
  /** Addresses and names of the server, the best first. */
  readonly addresses: readonly string[]
  readonly port: number
  readonly worker: boolean
  readonly uses: number | null
  /** RFC 3339. */
  readonly expiresAt: string
}
