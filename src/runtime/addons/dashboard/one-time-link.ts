/**
 * Links that sign in once, at any server: the code in the link is the only key to a token that lies encrypted in a
 * Secret, and whoever deletes that Secret is the one who gets in.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { isConflict, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { SECRETS } from '../../../client/resources.ts'
import { parseTime } from '../../../kube/time.ts'
import type { Secret } from '../../../kube/types.ts'

export const DASHBOARD_NAMESPACE = 'kubernetes-dashboard'
const TYPE = 'addons.mk8s.io/dashboard-link'
const CODE_BYTES = 32
const CODE = /^[\w-]{43}$/
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** A link is opened at once, or made anew. */
export const LINK_MS_MAX = 10 * 60_000

/** Nobody can find the code, or the key, by the name. */
const nameOf = (code: string): string =>
  `link-${createHash('sha256').update(`name\0${code}`).digest('hex').slice(0, 40)}`

const keyOf = (code: string): Buffer => Buffer.from(hkdfSync('sha256', code, '', 'mk8s dashboard link', 32))

export function sealToken(code: string, token: string, random: Random): string {
  const nonce = Buffer.from(random.bytes(NONCE_BYTES))
  const cipher = createCipheriv('aes-256-gcm', keyOf(code), nonce)
  const body = Buffer.concat([cipher.update(token, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64')
}

/** Null: it was sealed with another code, or is damaged. */
export function openToken(code: string, sealed: string): string | null {
  const bytes = Buffer.from(sealed, 'base64')
  const start = NONCE_BYTES + TAG_BYTES
  if (bytes.length < start) return null
  const options = { authTagLength: TAG_BYTES }
  const decipher = createDecipheriv('aes-256-gcm', keyOf(code), bytes.subarray(0, NONCE_BYTES), options)
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, start))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(start)), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}

interface MakingMeans {
  readonly client: KubeClient
  readonly random: Random
}

/** Returns the code. Those that nobody has used go. The clocks of machines that make links are not looked at. */
export async function keepLink({ client, random }: MakingMeans, token: string): Promise<string> {
  const code = Buffer.from(random.bytes(CODE_BYTES)).toString('base64url')
  const made = await client.create<Secret>(SECRETS, {
    ...{ apiVersion: 'v1', kind: 'Secret', type: TYPE },
    metadata: { name: nameOf(code), namespace: DASHBOARD_NAMESPACE },
    data: { token: sealToken(code, token, random) },
  })
  await forgetOld(client, madeAt(made))
  return code
}

/** Null: there is no such link, it is too old, or somebody was quicker. */
export async function takeLink(
  { client, clock }: { readonly client: KubeClient; readonly clock: Clock },
  code: string,
): Promise<string | null> {
  if (!CODE.test(code)) return null
  const target = { namespace: DASHBOARD_NAMESPACE, name: nameOf(code) }
  try {
    const secret = await client.get<Secret>(SECRETS, target)
    if (secret.type !== TYPE) return null
    await client.delete(SECRETS, { ...target, uid: secret.metadata.uid })
    return isOver(secret, clock.now()) ? null : openToken(code, secret.data?.['token'] ?? '')
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return null
    throw error
  }
}

/** By the API server's clock. */
const madeAt = ({ metadata }: Secret): number => parseTime(metadata.creationTimestamp ?? '') ?? 0

const isOver = (secret: Secret, nowMs: number): boolean => madeAt(secret) + LINK_MS_MAX < nowMs

async function forgetOld(client: KubeClient, nowMs: number): Promise<void> {
  const fieldSelector = `type=${TYPE}`
  const { items } = await client.list<Secret>(SECRETS, { namespace: DASHBOARD_NAMESPACE, fieldSelector })
  for (const { metadata } of items.filter(secret => isOver(secret, nowMs))) {
    const { name = '', uid } = metadata
    await client.delete(SECRETS, { namespace: DASHBOARD_NAMESPACE, name, uid }).catch(error => {
      if (!isNotFound(error) && !isConflict(error)) throw error
    })
  }
}
